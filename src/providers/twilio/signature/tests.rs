use super::*;

const VECTORS: &str = include_str!("../../../../tests/fixtures/twilio/signatures.jsonl");
const TOKEN: &str = "wallboard_test_token_0123456789ab";
/// Signed over a form of the URL the official validator does not try, though it is the same URL.
const ACCEPTED_BEYOND_THE_SDK: [&str; 2] = ["N07", "N08"];

fn pairs(value: &serde_json::Value) -> Vec<(String, String)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    value["params"]
        .as_object()
        .into_iter()
        .flatten()
        .flat_map(|(key, value)| match value.as_array() {
            Some(values) => values
                .iter()
                .map(|value| (key.clone(), text(value)))
                .collect(),
            None => vec![(key.clone(), text(value))],
        })
        .collect()
}

fn judge(vector: &serde_json::Value) -> Verdict {
    let token = Secret::new(vector["token"].as_str().unwrap_or(TOKEN));
    let keys = SignatureKeys {
        auth_tokens: vec![token.clone()],
        shared_keys: BTreeMap::from([("webhooks_sharedkey_1".to_owned(), token)]),
    };
    let params = pairs(vector);
    let body = match vector["raw_body"].as_str() {
        Some(raw) => SignedBody::Raw(raw.as_bytes()),
        None => SignedBody::Form(&params),
    };
    let settings = vector["alg"]
        .as_str()
        .map(|alg| format!("key=webhooks_sharedkey_1,algorithm={alg}"));
    verify(
        &SignedRequest {
            url: vector["url"].as_str().unwrap(),
            signature: vector["sig"].as_str(),
            settings: settings.as_deref(),
            body,
        },
        &keys,
    )
}

fn vectors() -> Vec<serde_json::Value> {
    VECTORS
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn official_vectors_get_the_official_verdict() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 22);
    for vector in vectors {
        let id = vector["id"].as_str().unwrap();
        let wanted = vector["expect"].as_bool().unwrap() || ACCEPTED_BEYOND_THE_SDK.contains(&id);
        assert_eq!(
            judge(&vector).is_valid(),
            wanted,
            "{id}: {:?}",
            judge(&vector)
        );
    }
}

#[test]
fn our_signatures_are_the_official_ones() {
    for vector in vectors() {
        let id = vector["id"].as_str().unwrap();
        if !id.starts_with('T') {
            continue;
        }
        let url = vector["signed_over"]
            .as_str()
            .or(vector["url"].as_str())
            .unwrap();
        let signed = match vector["alg"].as_str() {
            Some(_) => sign_sha256(url, &pairs(&vector), &TOKEN.into()),
            None => sign(url, &pairs(&vector), &TOKEN.into()),
        };
        assert_eq!(signed, vector["sig"].as_str().unwrap(), "{id}");
    }
}

fn verdict_of(id: &str) -> Verdict {
    judge(vectors().iter().find(|vector| vector["id"] == id).unwrap())
}

#[test]
fn a_wrong_public_url_is_named() {
    assert_eq!(
        verdict_of("N02"),
        Verdict::Mismatch {
            hint: Some(Hint::Scheme)
        }
    );
    assert_eq!(
        verdict_of("N05"),
        Verdict::Mismatch {
            hint: Some(Hint::TrailingSlash)
        }
    );
    assert_eq!(
        verdict_of("N09"),
        Verdict::Mismatch {
            hint: Some(Hint::Body)
        }
    );
    assert_eq!(verdict_of("N01"), Verdict::Mismatch { hint: None });
    assert_eq!(verdict_of("N10"), Verdict::Malformed);
    assert_eq!(verdict_of("N11"), Verdict::Missing);
    let url = "https://public.example.com/incoming-call";
    let signature = sign(url, &[], &TOKEN.into());
    let keys = SignatureKeys {
        auth_tokens: vec![TOKEN.into()],
        ..Default::default()
    };
    let seen = SignedRequest {
        url: "https://internal:8787/incoming-call",
        signature: Some(&signature),
        settings: None,
        body: SignedBody::Empty,
    };
    let verdict = verify_with_hints(&seen, &keys, &[url.to_owned()]);
    assert_eq!(
        verdict,
        Verdict::Mismatch {
            hint: Some(Hint::Host)
        }
    );
}

#[test]
fn any_configured_secret_may_have_signed() {
    let keys = SignatureKeys {
        auth_tokens: vec!["old".into(), "new".into()],
        ..Default::default()
    };
    for token in ["old", "new"] {
        let signature = sign("https://h/p", &[], &token.into());
        let request = SignedRequest {
            url: "https://h/p",
            signature: Some(&signature),
            settings: None,
            body: SignedBody::Empty,
        };
        assert!(verify(&request, &keys).is_valid());
    }
}

#[test]
fn no_secret_or_an_empty_one_accepts_nothing() {
    let signature = sign("https://h/p", &[], &"".into());
    let request = SignedRequest {
        url: "https://h/p",
        signature: Some(&signature),
        settings: None,
        body: SignedBody::Empty,
    };
    let empty = SignatureKeys {
        auth_tokens: vec!["".into()],
        ..Default::default()
    };
    assert_eq!(verify(&request, &empty), Verdict::Mismatch { hint: None });
    assert!(!verify(&request, &SignatureKeys::default()).is_valid());
}

#[test]
fn unknown_algorithms_are_refused() {
    let keys = SignatureKeys {
        auth_tokens: vec![TOKEN.into()],
        ..Default::default()
    };
    let signature = sign("https://h/p", &[], &TOKEN.into());
    let request = SignedRequest {
        url: "https://h/p",
        signature: Some(&signature),
        settings: Some("key=k,algorithm=NONE"),
        body: SignedBody::Empty,
    };
    assert_eq!(verify(&request, &keys), Verdict::Malformed);
}

#[test]
fn ports_are_found_beside_userinfo_and_ipv6() {
    let forms = |url: &str| {
        candidates(url)
            .into_iter()
            .map(Cow::into_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(forms("https://u:p@[::1]:8443/x")[1], "https://u:p@[::1]/x");
    assert_eq!(
        forms("https://u:p@h/x?a=1:2")[1],
        "https://u:p@h:443/x?a=1:2"
    );
    assert_eq!(forms("not a url"), ["not a url"]);
}

proptest::proptest! {
    #[test]
    fn junk_never_panics(url in ".{0,80}", signature in ".{0,60}", settings in ".{0,60}", body in proptest::collection::vec(0u8.., 0..60)) {
        let keys = SignatureKeys { auth_tokens: vec![TOKEN.into()], ..Default::default() };
        let form = parse_form(&body);
        for body in [SignedBody::Raw(&body), SignedBody::Form(&form)] {
            let request = SignedRequest { url: &url, signature: Some(&signature), settings: Some(&settings), body };
            proptest::prop_assert!(!verify(&request, &keys).is_valid());
        }
    }
}
