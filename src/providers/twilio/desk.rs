//! Twilio's routes (contract A3): which path means what, and the TwiML it is answered with.
//! Pure: reading and signing are the files' beside it.

use reqwest::header::{CONTENT_TYPE, HeaderMap};

use crate::bridge::{CarrierCodec, StreamStart};
use crate::call::CallId;
use crate::engine::{Fallback, Switchboard};
use crate::providers::News;
use crate::providers::vendor::{
    Base, CarrierDesk, Hook, HookRoute, Judgement, NO_ANSWER, RING_S, Reading, StreamDocument,
    Wanted, WebhookVerdict, content_key, has_agent,
};

use super::{
    self as twilio, After, AmdCallback, CARRIER, ConferenceCallback, ConnectStream, Dial,
    DialResult, Form, Hint, IDEMPOTENCY_HEADER, RecordingCallback, SETTINGS_HEADER,
    SIGNATURE_HEADER, SignatureKeys, SignedBody, SignedRequest, StatusCallback, StreamCallback,
    TWIML_TYPE, TwilioCodec, Verdict, VoiceRequest, routes,
};

/// Twilio's webhooks and Media Streams.
#[derive(Clone, Debug)]
pub struct TwilioDesk {
    keys: SignatureKeys,
    /// Caller id of transfers: our own number.
    caller_id: Option<String>,
}

impl TwilioDesk {
    pub fn new(settings: &twilio::TwilioSettings) -> Self {
        Self {
            keys: settings.keys(),
            caller_id: settings.phone_number.clone(),
        }
    }

    fn after(&self, base: &Base, fallback: &Fallback) -> After {
        match fallback {
            Fallback::Say(text) => After::Say(text.clone()),
            Fallback::Transfer(to) => After::Dial(self.dial(base, to)),
        }
    }

    fn dial(&self, base: &Base, to: &str) -> Dial {
        Dial {
            to: to.to_owned(),
            caller_id: self.caller_id.clone(),
            action: Some(base.callback(routes::DIAL_RESULT)),
            status_callback: Some(base.callback(routes::STATUS)),
            timeout_s: Some(RING_S),
        }
    }
}

impl CarrierDesk for TwilioDesk {
    fn carrier(&self) -> &'static str {
        CARRIER
    }

    fn hooks(&self) -> &'static [HookRoute] {
        const HOOKS: &[HookRoute] = &[
            HookRoute::by_get_or_post(routes::INCOMING),
            HookRoute::by_get_or_post(routes::OUTBOUND),
            HookRoute::by_get_or_post(routes::FALLBACK),
            HookRoute::by_get_or_post(routes::DIAL_RESULT),
            HookRoute::by_get_or_post(routes::SMS),
            HookRoute::by_post(routes::STATUS),
            HookRoute::by_post(routes::AMD),
            HookRoute::by_post(routes::RECORDING),
            HookRoute::by_post(routes::QUALITY),
            HookRoute::by_post(routes::STREAM_STATUS),
            HookRoute::by_post(routes::CONFERENCE),
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
            .then_some("set twilio.auth_token (or TWILIO_AUTH_TOKEN)")
    }

    fn judge(&self, hook: &Hook<'_>) -> Judgement {
        let form;
        let body = if hook.is_get || hook.body.is_empty() {
            SignedBody::Empty
        } else if is_form(hook.headers) {
            form = twilio::parse_form(hook.body);
            SignedBody::Form(&form)
        } else {
            SignedBody::Raw(hook.body)
        };
        let verdict = twilio::verify_with_hints(
            &signed(hook.url, hook.headers, body),
            &self.keys,
            hook.other_urls,
        );
        judgement(verdict)
    }

    fn has_signed(&self, headers: &HeaderMap) -> bool {
        headers.contains_key(SIGNATURE_HEADER)
    }

    fn judge_upgrade(&self, url: &str, headers: &HeaderMap) -> Judgement {
        let request = signed(url, headers, SignedBody::Empty);
        judgement(twilio::verify(&request, &self.keys))
    }

    fn read(&self, hook: &Hook<'_>, switchboard: &Switchboard) -> Result<Reading, String> {
        let retried = header_text(hook.headers, IDEMPOTENCY_HEADER);
        let content = || content_key(hook.query, hook.body);
        let key = retried.map_or_else(content, |token| format!("token/{token}"));
        if hook.path == routes::QUALITY && !is_form(hook.headers) {
            let news = twilio::read_insights(hook.body).map_err(|error| error.to_string())?;
            return Ok(Reading {
                news,
                key,
                wanted: Wanted::Nothing,
                ours: None,
            });
        }
        let pairs = if hook.is_get {
            twilio::parse_form(hook.query.as_bytes())
        } else {
            twilio::parse_form(hook.body)
        };
        let (news, wanted) = read_form(hook.path, &Form::new(pairs), switchboard)
            .map_err(|error| error.to_string())?;
        Ok(Reading {
            news: news.into_iter().collect(),
            key,
            wanted,
            ours: placed_call(hook.query),
        })
    }

    fn ticket<'s>(&self, start: &'s StreamStart) -> Option<&'s str> {
        start.custom.get(routes::TICKET).map(String::as_str)
    }

    fn codec(&self, _query: &str) -> Box<dyn CarrierCodec> {
        Box::new(TwilioCodec::default())
    }

    fn document_type(&self) -> &'static str {
        TWIML_TYPE
    }

    fn connect(&self, document: &StreamDocument<'_>) -> String {
        let stream = ConnectStream {
            url: document.base.ws(routes::STREAM),
            name: Some("agent".to_owned()),
            status_callback: Some(document.base.callback(routes::STREAM_STATUS)),
            parameters: vec![(routes::TICKET.to_owned(), document.ticket.to_owned())],
        };
        twilio::connect_stream(&stream, &self.after(document.base, document.fallback))
    }

    fn fall_back(&self, base: &Base, fallback: &Fallback) -> String {
        match fallback {
            Fallback::Say(text) => twilio::say_and_hang_up(text),
            Fallback::Transfer(to) => twilio::transfer(None, &self.dial(base, to)),
        }
    }

    fn say(&self, text: &str) -> String {
        twilio::say_and_hang_up(text)
    }

    fn hang_up(&self) -> String {
        twilio::hang_up()
    }
}

fn read_form(
    path: &str,
    form: &Form,
    switchboard: &Switchboard,
) -> Result<(Option<News>, Wanted), twilio::FormError> {
    Ok(match path {
        routes::INCOMING | routes::OUTBOUND => {
            let request = VoiceRequest::read(form)?;
            let carrier_call_id = request.call.call_sid.clone();
            let wanted = Wanted::Agent {
                carrier_call_id,
                // The carrier was told when the call was placed.
                record: false,
            };
            (Some(request.news()), wanted)
        }
        routes::SMS => {
            let message = twilio::TextMessage::read(form)?;
            (Some(message.news()), Wanted::Document(twilio::no_reply()))
        }
        routes::FALLBACK => {
            let request = VoiceRequest::read(form)?;
            let carrier_call_id = request.call.call_sid.clone();
            (Some(request.news()), Wanted::Fallback { carrier_call_id })
        }
        routes::DIAL_RESULT => {
            let result = DialResult::read(form)?;
            let to = switchboard.read(|board| {
                let call = board.find(&result.call_sid)?;
                call.transfer.as_ref().map(|transfer| transfer.to.clone())
            });
            let wanted = if result.connected() {
                Wanted::Document(twilio::hang_up())
            } else if has_agent(switchboard, &result.call_sid) {
                Wanted::Agent {
                    carrier_call_id: result.call_sid.clone(),
                    // The recording that runs goes on.
                    record: false,
                }
            } else {
                Wanted::Document(twilio::say_and_hang_up(NO_ANSWER))
            };
            (Some(result.news(&to.unwrap_or_default())), wanted)
        }
        routes::AMD => (Some(AmdCallback::read(form)?.news()), Wanted::Nothing),
        routes::RECORDING => (Some(RecordingCallback::read(form)?.news()), Wanted::Nothing),
        routes::STREAM_STATUS => {
            let stream = StreamCallback::read(form)?;
            let known = switchboard.read(|board| {
                board
                    .find(&stream.call_sid)
                    .and_then(|call| call.stream_id.clone())
            });
            (Some(stream.news(known.as_deref())), Wanted::Nothing)
        }
        routes::CONFERENCE => {
            let event = ConferenceCallback::read(form)?;
            tracing::debug!(event = %event.event, "a conference event was passed over");
            (None, Wanted::Nothing)
        }
        // Some Twilio-compatible carriers send quality inside an ordinary status callback.
        _ => (Some(StatusCallback::read(form)?.news()), Wanted::Nothing),
    })
}

fn signed<'a>(url: &'a str, headers: &'a HeaderMap, body: SignedBody<'a>) -> SignedRequest<'a> {
    SignedRequest {
        url,
        signature: header_text(headers, SIGNATURE_HEADER),
        settings: header_text(headers, SETTINGS_HEADER),
        body,
    }
}

fn header_text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// Our own id in the URL of a call we placed (`?call=`).
fn placed_call(query: &str) -> Option<CallId> {
    query
        .split('&')
        .find_map(|pair| pair.strip_prefix("call="))
        .and_then(|id| id.parse().ok())
}

fn is_form(headers: &HeaderMap) -> bool {
    header_text(headers, CONTENT_TYPE.as_str())
        .is_none_or(|kind| kind.trim().starts_with("application/x-www-form-urlencoded"))
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
