use proptest::prelude::*;
use serde_json::Value;

use super::*;

const VECTORS: &str = include_str!("../../../../tests/fixtures/plivo/signatures.jsonl");
const TOKEN: &str = "wallboard_plivo_token_0123456789";
const NONCE: &str = "05429567804466091622";
/// The official validator does not trim the list's blanks; the carrier may well write them.
const ACCEPTED_BEYOND_THE_SDK: [&str; 1] = ["PN10"];

fn vectors() -> Vec<Value> {
    VECTORS
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn pairs(vector: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    vector["params"]
        .as_object()
        .into_iter()
        .flatten()
        .flat_map(|(key, value)| match value.as_array() {
            Some(values) => values.iter().map(|v| (key.clone(), text(v))).collect(),
            None => vec![(key.clone(), text(value))],
        })
        .collect()
}

fn method(vector: &Value) -> SignedMethod {
    if vector["method"] == "GET" {
        SignedMethod::Get
    } else {
        SignedMethod::Post
    }
}

fn keys(token: &str) -> SignatureKeys {
    SignatureKeys {
        main: Some(token.into()),
        others: Vec::new(),
        accept_v2: true,
    }
}

fn headers(vector: &Value) -> SignatureHeaders<'_> {
    let (sig, nonce) = (
        vector["sig"].as_str(),
        Some(vector["nonce"].as_str().unwrap_or(NONCE)),
    );
    if vector["version"] == "v2" {
        SignatureHeaders {
            v2: sig,
            v2_nonce: nonce,
            ..SignatureHeaders::default()
        }
    } else {
        SignatureHeaders {
            v3: sig,
            v3_nonce: nonce,
            ..SignatureHeaders::default()
        }
    }
}

fn judge(vector: &Value) -> Verdict {
    verify(
        &SignedRequest {
            method: method(vector),
            url: vector["url"].as_str().unwrap(),
            params: &pairs(vector),
            headers: headers(vector),
        },
        &keys(vector["token"].as_str().unwrap_or(TOKEN)),
    )
}

fn vector(id: &str) -> Value {
    vectors()
        .into_iter()
        .find(|vector| vector["id"] == id)
        .unwrap()
}

#[test]
fn official_vectors_get_the_official_verdict() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 29);
    for vector in vectors {
        let id = vector["id"].as_str().unwrap();
        let wanted = vector["expect"].as_bool().unwrap() || ACCEPTED_BEYOND_THE_SDK.contains(&id);
        let verdict = judge(&vector);
        assert_eq!(verdict.is_valid(), wanted, "{id}: {verdict:?}");
    }
}

#[test]
fn our_signatures_and_messages_are_the_official_ones() {
    for vector in vectors() {
        let Some(message) = vector["message"].as_str() else {
            continue;
        };
        let (url, id) = (vector["url"].as_str().unwrap(), &vector["id"]);
        let signed = if vector["version"] == "v2" {
            sign_v2(url, NONCE, &TOKEN.into())
        } else {
            let params = pairs(&vector);
            let made = message_v3(method(&vector), url, &params, NONCE, Decode::Utf8);
            assert_eq!(made, message, "{id}");
            sign_v3(method(&vector), url, &params, NONCE, &TOKEN.into())
        };
        assert_eq!(signed, vector["sig"].as_str().unwrap(), "{id}");
    }
}

#[test]
fn an_upgrade_is_signed_over_its_http_form() {
    for (id, url) in [
        ("P12", "wss://wb.example.com/media-stream/abc?t=1"),
        ("P13", "wss://wb.example.com/media-stream"),
    ] {
        let vector = vector(id);
        let verdict = verify_upgrade(url, headers(&vector), &keys(TOKEN));
        assert!(verdict.is_valid(), "{url}: {verdict:?}");
    }
    let vector = vector("P12");
    let url = "wss://wb.example.com/media-stream/abc?t=2";
    assert_eq!(
        verify_upgrade(url, headers(&vector), &keys(TOKEN)),
        Verdict::Mismatch { hint: None }
    );
    assert_eq!(
        verify_upgrade(url, SignatureHeaders::default(), &keys(TOKEN)),
        Verdict::Missing
    );
    let nonce = "n";
    let sig = sign_v3(SignedMethod::Get, url, &[], nonce, &TOKEN.into());
    let own = SignatureHeaders {
        v3: Some(&sig),
        v3_nonce: Some(nonce),
        ..SignatureHeaders::default()
    };
    assert!(verify_upgrade(url, own, &keys(TOKEN)).is_valid());
}

#[test]
fn the_main_account_may_sign_for_its_subaccounts_but_not_the_other_way_round() {
    let url = "https://wb.example.com/answer";
    let sub = Secret::new("sub-token");
    let keys = SignatureKeys {
        main: Some(TOKEN.into()),
        others: vec![sub.clone()],
        accept_v2: false,
    };
    let judge = |v3: Option<&str>, ma_v3: Option<&str>| {
        let headers = SignatureHeaders {
            v3,
            ma_v3,
            v3_nonce: Some(NONCE),
            ..SignatureHeaders::default()
        };
        verify(
            &SignedRequest {
                method: SignedMethod::Post,
                url,
                params: &[],
                headers,
            },
            &keys,
        )
    };
    let by_sub = sign_v3(SignedMethod::Post, url, &[], NONCE, &sub);
    let by_main = sign_v3(SignedMethod::Post, url, &[], NONCE, &TOKEN.into());
    assert!(judge(Some(&by_sub), None).is_valid());
    assert!(judge(Some("AAAA"), Some(&by_main)).is_valid());
    assert!(!judge(None, Some(&by_sub)).is_valid());
    assert_eq!(judge(Some("nonsense"), None), Verdict::Malformed);
    assert_eq!(judge(None, None), Verdict::Missing);
    assert_eq!(judge(Some("  "), None), Verdict::Missing);
}

#[test]
fn v2_alone_is_refused_unless_allowed_and_never_beats_a_wrong_v3() {
    let vector = vector("V2-1");
    let request = |headers| SignedRequest {
        method: SignedMethod::Post,
        url: "https://wb.example.com/answer",
        params: &[],
        headers,
    };
    let strict = SignatureKeys {
        accept_v2: false,
        ..keys(TOKEN)
    };
    assert_eq!(
        verify(&request(headers(&vector)), &strict),
        Verdict::Mismatch {
            hint: Some(Hint::OnlyV2)
        }
    );
    let zeros = STANDARD.encode([0; 32]);
    let both = SignatureHeaders {
        v3: Some(&zeros),
        v3_nonce: Some(NONCE),
        ..headers(&vector)
    };
    assert!(!verify(&request(both), &keys(TOKEN)).is_valid());
}

#[test]
fn a_wrong_public_url_is_named() {
    let hint = |id: &str| match judge(&vector(id)) {
        Verdict::Mismatch { hint } => hint,
        verdict => panic!("{id}: {verdict:?}"),
    };
    assert_eq!(hint("PN5"), Some(Hint::Scheme));
    assert_eq!(hint("PN6"), Some(Hint::TrailingSlash));
    assert_eq!(hint("PN11"), Some(Hint::Scheme));
    assert_eq!(hint("PN1"), None);
    let url = "https://public.example.com/answer";
    let sig = sign_v3(SignedMethod::Post, url, &[], NONCE, &TOKEN.into());
    let request = SignedRequest {
        method: SignedMethod::Post,
        url: "http://10.0.0.3:8787/answer",
        params: &[],
        headers: SignatureHeaders {
            v3: Some(&sig),
            v3_nonce: Some(NONCE),
            ..SignatureHeaders::default()
        },
    };
    assert_eq!(
        verify_with_hints(&request, &keys(TOKEN), &[url.to_owned()]),
        Verdict::Mismatch {
            hint: Some(Hint::Host)
        }
    );
}

#[test]
fn letters_beyond_ascii_in_the_query_fit_either_official_library() {
    let url = "https://wb.example.com/answer?name=A%C3%B1o";
    let judge = |message: &str| {
        let sig = STANDARD.encode(
            mac(&TOKEN.into(), message.as_bytes())
                .finalize()
                .into_bytes(),
        );
        let headers = SignatureHeaders {
            v3: Some(&sig),
            v3_nonce: Some("1"),
            ..SignatureHeaders::default()
        };
        let request = SignedRequest {
            method: SignedMethod::Post,
            url,
            params: &[],
            headers,
        };
        verify(&request, &keys(TOKEN)).is_valid()
    };
    assert!(judge("https://wb.example.com/answer?name=Año.1"));
    assert!(judge("https://wb.example.com/answer?name=AÃ±o.1"));
    assert!(!judge("https://wb.example.com/answer?name=Ano.1"));
}

#[test]
fn without_a_secret_nothing_is_accepted() {
    let empty = SignatureKeys {
        main: Some("".into()),
        ..SignatureKeys::default()
    };
    assert!(empty.is_empty() && SignatureKeys::default().is_empty());
    let url = "https://wb.example.com/answer";
    let sig = sign_v3(SignedMethod::Post, url, &[], NONCE, &"".into());
    let request = SignedRequest {
        method: SignedMethod::Post,
        url,
        params: &[],
        headers: SignatureHeaders {
            v3: Some(&sig),
            v3_nonce: Some(NONCE),
            ..SignatureHeaders::default()
        },
    };
    assert!(!verify(&request, &empty).is_valid());
}

#[test]
fn headers_are_found_under_a_compatible_carriers_prefix() {
    let sent = [
        ("x-vobiz-signature-v3", "sig"),
        ("x-vobiz-signature-v3-nonce", " 7 "),
    ];
    let headers = SignatureHeaders::read("x-vobiz", |name| {
        sent.iter().find(|(n, _)| *n == name).map(|(_, v)| *v)
    });
    assert_eq!(headers.v3, Some("sig"));
    assert_eq!(headers.replay_key().as_deref(), Some("nonce/7"));
    assert_eq!(SignatureHeaders::default().replay_key(), None);
}

proptest! {
    #[test]
    fn any_request_is_judged_without_panic(url in "\\PC{0,60}", sig in "\\PC{0,80}", nonce in "\\PC{0,20}", key in "\\PC{0,9}", value in "\\PC{0,9}") {
        let params = [(key, value)];
        for method in [SignedMethod::Get, SignedMethod::Post] {
            let headers = SignatureHeaders { v3: Some(&sig), v3_nonce: Some(&nonce), ..SignatureHeaders::default() };
            let request = SignedRequest { method, url: &url, params: &params, headers };
            prop_assert!(!verify(&request, &keys(TOKEN)).is_valid());
            verify_upgrade(&url, headers, &keys(TOKEN));
        }
    }

    #[test]
    fn what_is_signed_verifies_and_a_changed_value_does_not(path in "[a-z/]{0,12}", query in "([a-z]=[a-z%+]{0,4}&?){0,3}", key in "[A-Za-z]{1,8}", value in "\\PC{1,20}") {
        let url = format!("https://h/{path}?{query}");
        let mut params = vec![(key, value)];
        let sig = sign_v3(SignedMethod::Post, &url, &params, "n", &TOKEN.into());
        let headers = SignatureHeaders { v3: Some(&sig), v3_nonce: Some("n"), ..SignatureHeaders::default() };
        let judge = |params: &[(String, String)]| verify(&SignedRequest { method: SignedMethod::Post, url: &url, params, headers }, &keys(TOKEN)).is_valid();
        prop_assert!(judge(&params));
        params[0].1.push('x');
        prop_assert!(!judge(&params));
    }
}
