//! What the session asked for, done: words for the sockets, dialling, tools, the hang-up.

use std::time::Duration;

use crate::bridge::{Effect, Input};
use crate::engine::ports::{AgentDialer, AgentError, CarrierError};
use crate::engine::tools;

use super::super::bells::Source;
use super::super::links::say_goodbye;
use super::{Dialling, Runner, ToolDone};

/// An agent's socket must be open within this, whatever its dialer thinks.
const DIAL_WITHIN: Duration = Duration::from_secs(10);
/// The carrier's REST must answer a hang-up within this.
const HANG_UP_WITHIN: Duration = Duration::from_secs(8);
/// Tools one agent may have running; further ones are refused at once.
const TOOLS_MAX: usize = 8;

impl Runner<'_> {
    pub(super) fn perform(&mut self, now: Duration, effect: Effect) {
        match effect {
            Effect::ToCarrier(out) => {
                let dropped = self.carrier.push(out);
                if dropped > 0 {
                    metrics::counter!("wallboard_audio_dropped_total", "to" => "carrier")
                        .increment(dropped);
                    self.step(now, Input::ToCarrierDropped(dropped));
                }
            }
            Effect::ToAgent(out) => {
                let dropped = self.agent.as_mut().map_or(0, |agent| agent.push(out));
                if dropped > 0 {
                    metrics::counter!("wallboard_audio_dropped_total", "to" => "agent")
                        .increment(dropped);
                    self.step(now, Input::ToAgentDropped(dropped));
                }
            }
            Effect::Fact(fact) => self.facts.push(fact),
            Effect::Gauge(gauge) => self.core.gauges.set(gauge),
            Effect::ConnectAgent { after } => {
                self.close_agent();
                self.dialling = Some(dial(&self.plan.agent.dialer, after));
                self.bells.ring(Source::Agent);
            }
            Effect::CloseAgent => self.close_agent(),
            Effect::PauseAgentRead => self.set_agent_reading(false),
            Effect::ResumeAgentRead => self.set_agent_reading(true),
            Effect::RunTool {
                tool_call_id,
                name,
                args,
            } => self.run_tool(tool_call_id, name, args),
            Effect::EndCall { reason } => self.end_call(&reason),
            // The loop ends with the session; the socket is closed on the way out.
            Effect::CloseCarrier { reason } => {
                tracing::debug!(call = %self.call, reason, "closing the carrier's stream");
            }
        }
    }

    fn run_tool(&mut self, tool_call_id: String, name: String, args: String) {
        let busy = self.tools.len() >= TOOLS_MAX;
        let running = tools::run(
            self.core,
            self.call,
            &self.plan.agent,
            tool_call_id.clone(),
            &name,
            &args,
        );
        self.bells.ring(Source::Tools);
        self.tools.push(Box::pin(async move {
            let outcome = if busy {
                Err("too many tools are running".to_owned())
            } else {
                running.await
            };
            ToolDone {
                tool_call_id,
                name,
                outcome,
            }
        }));
    }

    fn set_agent_reading(&mut self, reading: bool) {
        if let Some(agent) = &mut self.agent {
            agent.reading = reading;
            self.bells.ring(Source::Agent);
        }
    }

    pub(super) fn close_agent(&mut self) {
        self.dialling = None;
        if let Some(agent) = self.agent.take() {
            self.core
                .tasks
                .spawn("agent goodbye", say_goodbye(agent.into_socket()));
        }
    }

    fn end_call(&mut self, reason: &str) {
        tracing::debug!(call = %self.call, reason, "the agent ended the call");
        let control = self
            .core
            .carriers
            .get(self.carrier_name.as_str())
            .map(std::sync::Arc::clone);
        let carrier_call_id = self.carrier_call_id.clone();
        self.bells.ring(Source::HangUp);
        self.hanging_up = Some(Box::pin(async move {
            let Some(control) = control else {
                return Err(CarrierError::Unsupported("hanging up"));
            };
            tokio::time::timeout(HANG_UP_WITHIN, control.hang_up(carrier_call_id))
                .await
                .unwrap_or_else(|_| Err(CarrierError::Unreachable("no answer in time".into())))
        }));
    }
}

fn dial(dialer: &std::sync::Arc<dyn AgentDialer>, after: Duration) -> Dialling {
    let dialer = std::sync::Arc::clone(dialer);
    Box::pin(async move {
        if !after.is_zero() {
            tokio::time::sleep(after).await;
        }
        tokio::time::timeout(DIAL_WITHIN, dialer.connect())
            .await
            .unwrap_or(Err(AgentError::Timeout))
    })
}
