//! Plivo's routes (contract A3): which path means what, and the XML it is answered with.
//! Pure: reading and signing are the files' beside it.

use reqwest::header::HeaderMap;

use crate::bridge::{CarrierCodec, StreamStart};
use crate::engine::{Fallback, Switchboard};
use crate::providers::News;
use crate::providers::vendor::{
    Base, CarrierDesk, Hook, HookRoute, Judgement, NO_ANSWER, RING_S, Reading, StreamDocument,
    Wanted, WebhookVerdict, has_agent,
};

use super::{
    self as plivo, After, AnswerNews, AnswerQuery, AnswerRequest, CARRIER, Dial, DialLegCallback,
    DialResult, Form, FormError, HangupCallback, Hint, MachineCallback, PlivoCodec, PlivoSettings,
    RecordingCallback, RingCallback, SignatureHeaders, SignatureKeys, SignedMethod, SignedRequest,
    Stream, StreamCallback, TransferRequest, Verdict, XML_TYPE, routes,
};

/// The vendor's own name for what streams speak; one of its integrations insists on it.
const SUBPROTOCOL: &str = "audio.plivo.com";

/// Plivo's webhooks and audio streams.
#[derive(Clone, Debug)]
pub struct PlivoDesk {
    keys: SignatureKeys,
    header_prefix: String,
    caller_id: Option<String>,
}

impl PlivoDesk {
    pub fn new(settings: &PlivoSettings) -> Self {
        Self {
            keys: settings.keys(),
            header_prefix: settings.header_prefix.clone(),
            caller_id: settings.phone_number.clone(),
        }
    }

    fn headers<'h>(&self, headers: &'h HeaderMap) -> SignatureHeaders<'h> {
        SignatureHeaders::read(&self.header_prefix, |name| headers.get(name)?.to_str().ok())
    }

    fn dial(&self, base: &Base, to: &str) -> Dial {
        Dial {
            to: to.to_owned(),
            caller_id: self.caller_id.clone(),
            action: Some(base.callback(routes::DIAL_ACTION)),
            callback: Some(base.callback(routes::DIAL_STATUS)),
            timeout_s: Some(RING_S),
        }
    }

    fn after(&self, base: &Base, fallback: &Fallback) -> After {
        match fallback {
            Fallback::Say(text) => After::Say(text.clone()),
            Fallback::Transfer(to) => After::Dial(self.dial(base, to)),
        }
    }

    /// News, its key, and what the carrier waits for.
    fn read_form(
        &self,
        hook: &Hook<'_>,
        form: &Form,
        switchboard: &Switchboard,
    ) -> Result<(News, String, Wanted), FormError> {
        let transfer_to = |call: &str| {
            let to = switchboard.read(|board| board.find(call)?.transfer.clone());
            to.map(|transfer| transfer.to).unwrap_or_default()
        };
        Ok(match hook.path {
            routes::ANSWER => match AnswerNews::read(form)? {
                AnswerNews::Answer(request) => {
                    let carrier_call_id = request.call.call_uuid.clone();
                    let key = format!("{carrier_call_id}/answer");
                    let record = AnswerQuery::read(hook.query).record;
                    let wanted = Wanted::Agent {
                        carrier_call_id,
                        record,
                    };
                    (request.news(), key, wanted)
                }
                AnswerNews::Hangup(hangup) => {
                    (hangup.news(), hangup.content_key(), Wanted::Nothing)
                }
            },
            routes::FALLBACK => {
                let request = AnswerRequest::read(form)?;
                let carrier_call_id = request.call.call_uuid.clone();
                let key = format!("{carrier_call_id}/fallback");
                (
                    request.fallback_news(),
                    key,
                    Wanted::Fallback { carrier_call_id },
                )
            }
            routes::TRANSFER => {
                let request = TransferRequest::read(form, hook.query)?;
                let base = Base::of_hook(hook);
                let document = plivo::transfer(None, &self.dial(&base, &request.to));
                (
                    request.news(),
                    request.content_key(),
                    Wanted::Document(document),
                )
            }
            routes::DIAL_ACTION => {
                let result = DialResult::read(form)?;
                let wanted = if result.connected() {
                    Wanted::Document(plivo::hang_up())
                } else if has_agent(switchboard, &result.call_uuid) {
                    Wanted::Agent {
                        carrier_call_id: result.call_uuid.clone(),
                        // The recording that runs goes on.
                        record: false,
                    }
                } else {
                    Wanted::Document(plivo::say_and_hang_up(NO_ANSWER))
                };
                let to = transfer_to(&result.call_uuid);
                (result.news(&to), result.content_key(), wanted)
            }
            routes::DIAL_STATUS => {
                let leg = DialLegCallback::read(form)?;
                let to = transfer_to(&leg.call_uuid);
                (leg.news(&to), leg.content_key(), Wanted::Nothing)
            }
            routes::RING => {
                let ring = RingCallback::read(form)?;
                (ring.news(), ring.content_key(), Wanted::Nothing)
            }
            routes::MACHINE => {
                let machine = MachineCallback::read(form)?;
                (machine.news(), machine.content_key(), Wanted::Nothing)
            }
            routes::RECORDING => {
                let recording = RecordingCallback::read(form)?;
                (recording.news(), recording.content_key(), Wanted::Nothing)
            }
            routes::STREAM_STATUS => {
                let stream = StreamCallback::read(form)?;
                let known =
                    switchboard.read(|board| board.find(&stream.call_uuid)?.stream_id.clone());
                (
                    stream.news(known.as_deref()),
                    stream.content_key(),
                    Wanted::Nothing,
                )
            }
            _ => {
                let hangup = HangupCallback::read(form)?;
                (hangup.news(), hangup.content_key(), Wanted::Nothing)
            }
        })
    }
}

impl CarrierDesk for PlivoDesk {
    fn carrier(&self) -> &'static str {
        CARRIER
    }

    fn hooks(&self) -> &'static [HookRoute] {
        const HOOKS: &[HookRoute] = &[
            HookRoute::by_get_or_post(routes::ANSWER),
            HookRoute::by_get_or_post(routes::FALLBACK),
            HookRoute::by_get_or_post(routes::TRANSFER),
            HookRoute::by_get_or_post(routes::DIAL_ACTION),
            HookRoute::by_get_or_post(routes::RING),
            HookRoute::by_get_or_post(routes::HANGUP),
            HookRoute::by_get_or_post(routes::MACHINE),
            HookRoute::by_get_or_post(routes::RECORDING),
            HookRoute::by_get_or_post(routes::STREAM_STATUS),
            HookRoute::by_get_or_post(routes::DIAL_STATUS),
        ];
        HOOKS
    }

    fn streams(&self) -> &'static [&'static str] {
        &[routes::STREAM]
    }

    fn monitors(&self) -> &'static [&'static str] {
        &[routes::MONITOR]
    }

    fn unready(&self) -> Option<&'static str> {
        self.keys
            .is_empty()
            .then_some("set plivo.auth_token (or PLIVO_AUTH_TOKEN)")
    }

    fn judge(&self, hook: &Hook<'_>) -> Judgement {
        let params = if hook.is_get {
            Vec::new()
        } else {
            plivo::parse_form(hook.body)
        };
        let request = SignedRequest {
            method: if hook.is_get {
                SignedMethod::Get
            } else {
                SignedMethod::Post
            },
            url: hook.url,
            params: &params,
            headers: self.headers(hook.headers),
        };
        judgement(plivo::verify_with_hints(
            &request,
            &self.keys,
            hook.other_urls,
        ))
    }

    fn has_signed(&self, headers: &HeaderMap) -> bool {
        self.headers(headers) != SignatureHeaders::default()
    }

    fn judge_upgrade(&self, url: &str, headers: &HeaderMap) -> Judgement {
        judgement(plivo::verify_upgrade(
            url,
            self.headers(headers),
            &self.keys,
        ))
    }

    fn read(&self, hook: &Hook<'_>, switchboard: &Switchboard) -> Result<Reading, String> {
        let pairs = if hook.is_get {
            plivo::parse_form(hook.query.as_bytes())
        } else {
            plivo::parse_form(hook.body)
        };
        let (news, key, wanted) = self
            .read_form(hook, &Form::new(pairs), switchboard)
            .map_err(|error| error.to_string())?;
        Ok(Reading {
            news: vec![news],
            key,
            wanted,
            ours: AnswerQuery::read(hook.query).call,
        })
    }

    fn ticket<'s>(&self, start: &'s StreamStart) -> Option<&'s str> {
        start.custom.get(routes::TICKET).map(String::as_str)
    }

    fn codec(&self, query: &str) -> Box<dyn CarrierCodec> {
        Box::new(PlivoCodec::with_query(query))
    }

    fn subprotocols(&self) -> &'static [&'static str] {
        &[SUBPROTOCOL]
    }

    fn document_type(&self) -> &'static str {
        XML_TYPE
    }

    fn connect(&self, document: &StreamDocument<'_>) -> String {
        let base = document.base;
        let stream = Stream {
            url: base.ws(&format!(
                "{}?{}={}",
                routes::STREAM,
                routes::TICKET,
                document.ticket
            )),
            status_callback: Some(base.http(routes::STREAM_STATUS)),
            extra_headers: vec![(routes::TICKET.to_owned(), document.ticket.to_owned())],
        };
        let recording = document.record.then(|| base.callback(routes::RECORDING));
        let after = self.after(base, document.fallback);
        plivo::connect_stream(&stream, recording.as_deref(), &after)
    }

    fn fall_back(&self, base: &Base, fallback: &Fallback) -> String {
        match fallback {
            Fallback::Say(text) => plivo::say_and_hang_up(text),
            Fallback::Transfer(to) => plivo::transfer(None, &self.dial(base, to)),
        }
    }

    fn say(&self, text: &str) -> String {
        plivo::say_and_hang_up(text)
    }

    fn hang_up(&self) -> String {
        plivo::hang_up()
    }
}

fn judgement(verdict: Verdict) -> Judgement {
    let (verdict, hint) = match verdict {
        Verdict::Valid => (WebhookVerdict::Valid, None),
        Verdict::Missing => (WebhookVerdict::MissingSignature, None),
        Verdict::Malformed => (WebhookVerdict::MalformedSignature, None),
        Verdict::Mismatch { hint: None } => (WebhookVerdict::WrongSecret, None),
        Verdict::Mismatch { hint: Some(hint) } => (WebhookVerdict::UrlMismatch, Some(hint)),
    };
    Judgement {
        verdict,
        advice: hint.map(Hint::advice),
    }
}
