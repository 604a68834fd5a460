//! How the carrier asks: its limits, its retries and its headers.
//! Spec: Twilio "Webhooks: connection overrides" and "Security", read 2026-11.

use crate::call::Secret;
use crate::simulator::line::Method;
use crate::simulator::line::poster::{Form, Habits, Headers, Limits, Tried};
use crate::simulator::rng::Rng;

use super::signature::sign;

#[derive(Debug)]
pub(super) struct TwilioHabits {
    pub(super) auth_token: Secret,
}

impl Habits for TwilioHabits {
    fn limits(&self) -> Limits {
        Limits {
            connect_ms: 5_000,
            read_ms: 15_000,
            total_ms: Some(15_000),
            again_on_read: false,
            answers: 100..400,
        }
    }

    fn token(&self, rng: &mut Rng) -> String {
        rng.sid("")
    }

    fn headers(&self, tried: &Tried<'_>, _rng: &mut Rng) -> Headers {
        let none = Form::new();
        let covered = match tried.method {
            Method::Get => &none,
            Method::Post => tried.form,
        };
        let signature = sign(self.auth_token.expose(), tried.url, covered);
        vec![
            ("X-Twilio-Signature", signature),
            ("I-Twilio-Idempotency-Token", tried.token.to_owned()),
            ("User-Agent", "TwilioProxy/1.1".to_owned()),
        ]
    }

    fn upgrade(&self, url: &str, _rng: &mut Rng) -> Headers {
        let signature = sign(self.auth_token.expose(), url, &[]);
        vec![
            ("x-twilio-signature", signature),
            ("user-agent", "Twilio.TmeWs/1.0".to_owned()),
        ]
    }

    fn message_max(&self) -> usize {
        1024 * 1024
    }
}
