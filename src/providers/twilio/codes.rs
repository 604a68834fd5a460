//! Codes the carrier reports, in words an operator knows.

/// The final SIP answer in words an operator knows. RFC 3261 §21.
pub fn sip_text(code: u32) -> String {
    let words = match code {
        // Nothing went wrong; who hung up is not in it.
        200 => return "normal end".to_owned(),
        403 => "refused by the network",
        404 => "number does not exist",
        408 => "no reply from the network",
        410 => "number no longer exists",
        480 => "not reachable",
        484 => "number incomplete",
        486 | 600 => "busy",
        487 => "cancelled before the answer",
        488 | 606 => "no common media format",
        503 => "network overloaded",
        603 => "declined",
        _ => return format!("SIP {code}"),
    };
    format!("SIP {code} {words}")
}

/// Twilio's error codes an operator may meet, in a few words. Twilio docs, "Error and warning
/// dictionary".
pub fn error_text(code: &str) -> Option<&'static str> {
    Some(match code {
        "11200" => "the carrier could not fetch our document",
        "11205" => "the carrier could not connect to us",
        "12100" => "the carrier could not read our document",
        "12300" => "our document had the wrong content type",
        "13224" | "13225" => "the number could not be dialled",
        "16101" => "the recording is too short",
        "16102" => "the recording is silent",
        "21205" => "our URL is not valid",
        "21211" => "the number to call is not valid",
        "21212" => "the number to call from is not valid",
        "21215" => "calls to this country are not permitted",
        "21219" => "a trial account may call only verified numbers",
        "31903" => "the connection broke",
        "31920" => "our side refused the stream",
        "31921" => "our side closed the stream",
        "31924" => "a protocol error on the stream",
        "31930" => "our side was too slow; audio was lost",
        "31951" => "our side sent an invalid message",
        _ => return None,
    })
}
