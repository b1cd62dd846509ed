//! RFC 7677's example, verifiers made by PostgreSQL, and every way to go wrong.

use bytes::Bytes;

use super::*;
use crate::postgres::{Authentication, SaslInitialResponse, SqlState, WireStr};

const PASSWORD: &str = "pencil";
const SALT: &str = "W22ZaJ0SNY7soEsUEjb6gQ==";
const CLIENT_NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
const SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const CLIENT_FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
const SERVER_FIRST: &str =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const CLIENT_FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
const SERVER_FINAL: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

fn verifier() -> ScramVerifier {
    use base64::{Engine, engine::general_purpose::STANDARD};
    ScramVerifier::from_password(PASSWORD, &STANDARD.decode(SALT).unwrap(), 4096).unwrap()
}

fn nonce(text: &str) -> Nonce {
    Nonce::from_text(text).unwrap()
}

fn initial(mechanism: &'static str, data: &str) -> SaslInitialResponse {
    SaslInitialResponse {
        mechanism: WireStr::from_static(mechanism),
        data: Some(Bytes::copy_from_slice(data.as_bytes())),
    }
}

fn server(binding: ChannelBinding) -> ScramServer {
    ScramServer::new(
        "user",
        Credential::Known(verifier()),
        binding,
        nonce(SERVER_NONCE),
    )
}

fn mechanisms(names: &[&'static str]) -> Vec<WireStr> {
    names
        .iter()
        .map(|name| WireStr::from_static(name))
        .collect()
}

#[test]
fn the_server_side_follows_rfc_7677() {
    let (state, reply) = server(ChannelBinding::None)
        .client_first(&initial(SCRAM_SHA_256, CLIENT_FIRST))
        .unwrap();
    assert_eq!(reply, Authentication::SaslContinue(SERVER_FIRST.into()));
    let (proof, reply) = state.client_final(CLIENT_FINAL.as_bytes()).unwrap();
    assert_eq!(reply, Authentication::SaslFinal(SERVER_FINAL.into()));
    assert_eq!((proof.user(), proof.channel_bound()), ("user", false));
}

#[test]
fn the_client_side_follows_rfc_7677() {
    let client =
        ScramClient::new(PASSWORD, ChannelBinding::None, nonce(CLIENT_NONCE)).with_user("user");
    let (client, first) = client.choose(&mechanisms(&[SCRAM_SHA_256])).unwrap();
    assert_eq!(first.data.unwrap(), CLIENT_FIRST);
    let (client, response) = client.server_first(SERVER_FIRST.as_bytes()).unwrap();
    assert_eq!(response, CLIENT_FINAL);
    client.server_final(SERVER_FINAL.as_bytes()).unwrap();
}

#[test]
fn verifiers_have_postgres_form() {
    let text = verifier().to_string();
    assert_eq!(
        text,
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    );
    let parsed: ScramVerifier = text.parse().unwrap();
    assert!(parsed.matches(PASSWORD));
    assert!(!parsed.matches("pencil "));
    assert_eq!(format!("{parsed:?}"), "ScramVerifier([redacted])");
}

#[test]
fn bad_verifiers_say_what_is_wrong() {
    let good = verifier().to_string();
    let table = [
        (String::new(), InvalidVerifier::Shape),
        ("md5deadbeef".into(), InvalidVerifier::Shape),
        (good.replace("4096:", "4096"), InvalidVerifier::Shape),
        (good.replace("4096", "0"), InvalidVerifier::Iterations),
        (
            good.replace("4096", "2000000000"),
            InvalidVerifier::Iterations,
        ),
        (good.replace("4096", "-1"), InvalidVerifier::Iterations),
        (
            good.replace("W22ZaJ", "!!!!!!"),
            InvalidVerifier::Base64("salt"),
        ),
        (
            good.replace("WG5d", ""),
            InvalidVerifier::Base64("stored key"),
        ),
        (format!("{good}AAAA"), InvalidVerifier::Base64("server key")),
    ];
    for (text, error) in table {
        assert_eq!(text.parse::<ScramVerifier>().unwrap_err(), error, "{text}");
    }
    assert!(ScramVerifier::generate("").is_err());
    assert!(ScramVerifier::generate("a\0b").is_err());
    assert!(ScramVerifier::generate(&"x".repeat(1025)).is_err());
}

#[test]
fn passwords_are_prepared_as_postgres_does() {
    // A soft hyphen is mapped to nothing, a no-break space to a space (RFC 4013).
    let stored = ScramVerifier::generate("I\u{ad}X y").unwrap();
    assert!(stored.matches("IX\u{a0}y"));
    // Text that may not be prepared at all still works, byte for byte.
    assert!(
        ScramVerifier::generate("\u{7}bell")
            .unwrap()
            .matches("\u{7}bell")
    );
}

fn run(client: ScramClient, server: ScramServer) -> Result<ScramAuthenticated, ScramError> {
    let Authentication::Sasl { mechanisms } = server.offer() else {
        panic!("the offer is a list of mechanisms");
    };
    let (client, first) = client.choose(&mechanisms)?;
    let (server, reply) = server.client_first(&first)?;
    let Authentication::SaslContinue(data) = reply else {
        panic!("{reply:?}");
    };
    let (client, response) = client.server_first(&data)?;
    let (proof, reply) = server.client_final(&response)?;
    let Authentication::SaslFinal(data) = reply else {
        panic!("{reply:?}");
    };
    client.server_final(&data)?;
    Ok(proof)
}

fn client(password: &str, binding: ChannelBinding) -> ScramClient {
    ScramClient::new(password, binding, Nonce::random().unwrap())
}

#[test]
fn both_sides_agree_with_and_without_channel_binding() {
    let hash = || ChannelBinding::TlsServerEndPoint(vec![7; 32]);
    let none = || ChannelBinding::None;
    for (ours, theirs, bound) in [
        (none(), none(), false),
        (hash(), hash(), true),
        (hash(), none(), false),
        (none(), hash(), false),
    ] {
        let proof = run(client(PASSWORD, ours), server(theirs)).unwrap();
        assert_eq!(proof.channel_bound(), bound);
    }
    let other = ChannelBinding::TlsServerEndPoint(vec![8; 32]);
    assert_eq!(
        run(client(PASSWORD, other), server(hash())).unwrap_err(),
        ScramError::BindingMismatch
    );
}

#[test]
fn remembered_keys_are_those_of_the_salt_at_hand() {
    let password = std::sync::Arc::new(ScramPassword::new(PASSWORD));
    let other = ScramVerifier::from_password(PASSWORD, b"another salt", 5000).unwrap();
    let same_salt = ScramVerifier::from_password(PASSWORD, b"another salt", 4096).unwrap();
    for verifier in [verifier(), verifier(), other, same_salt, verifier()] {
        let client = ScramClient::with_password(
            password.clone(),
            ChannelBinding::None,
            Nonce::random().unwrap(),
        );
        let server = ScramServer::new(
            "user",
            Credential::Known(verifier),
            ChannelBinding::None,
            nonce(SERVER_NONCE),
        );
        run(client, server).unwrap();
    }
}

#[test]
fn a_wrong_password_and_an_unknown_user_look_the_same() {
    let wrong = run(
        client("pencil!", ChannelBinding::None),
        server(ChannelBinding::None),
    );
    let mock = MockSecret::from_verifiers([&verifier()]).unwrap();
    let unknown = ScramServer::new(
        "nobody",
        mock.credential("nobody"),
        ChannelBinding::None,
        nonce(SERVER_NONCE),
    );
    let unknown = run(client(PASSWORD, ChannelBinding::None), unknown);
    assert_eq!(wrong.unwrap_err(), ScramError::NotAuthenticated);
    let error = unknown.unwrap_err();
    assert_eq!(error, ScramError::NotAuthenticated);
    let fields = error.to_fields("nobody");
    assert_eq!(fields.sqlstate(), Some(SqlState::INVALID_PASSWORD));
    assert_eq!(
        fields.message(),
        "password authentication failed for user \"nobody\""
    );
}

#[test]
fn even_the_right_password_of_an_unknown_user_fails() {
    let server = ScramServer::new(
        "user",
        Credential::Unknown(verifier()),
        ChannelBinding::None,
        nonce(SERVER_NONCE),
    );
    assert_eq!(
        run(client(PASSWORD, ChannelBinding::None), server).unwrap_err(),
        ScramError::NotAuthenticated
    );
}

#[test]
fn unknown_users_get_a_steady_salt_of_the_usual_shape() {
    let first = |mock: &MockSecret, user: &str| {
        let server = ScramServer::new(
            user,
            mock.credential(user),
            ChannelBinding::None,
            nonce(SERVER_NONCE),
        );
        let (_, reply) = server
            .client_first(&initial(SCRAM_SHA_256, CLIENT_FIRST))
            .unwrap();
        match reply {
            Authentication::SaslContinue(data) => data,
            other => panic!("{other:?}"),
        }
    };
    let mock = MockSecret::from_verifiers([&verifier()]).unwrap();
    let again = MockSecret::from_verifiers([&verifier()]).unwrap();
    assert_eq!(first(&mock, "a"), first(&again, "a"));
    assert_ne!(first(&mock, "a"), first(&mock, "b"));
    assert_ne!(
        first(&mock, "a"),
        first(&MockSecret::random().unwrap(), "a")
    );
    assert_eq!(first(&mock, "a").len(), SERVER_FIRST.len());
    assert!(MockSecret::from_verifiers([]).is_none());
}

#[test]
fn client_first_messages_are_checked() {
    let binding = || ChannelBinding::TlsServerEndPoint(vec![7; 32]);
    let none = || ChannelBinding::None;
    let plus = "p=tls-server-end-point,,n=,r=abc";
    let table = [
        (none(), "OAUTHBEARER", CLIENT_FIRST, ScramError::Mechanism),
        (none(), SCRAM_SHA_256_PLUS, plus, ScramError::Mechanism),
        (
            none(),
            SCRAM_SHA_256,
            plus,
            ScramError::BindingFlag {
                mechanism: SCRAM_SHA_256,
            },
        ),
        (
            binding(),
            SCRAM_SHA_256_PLUS,
            CLIENT_FIRST,
            ScramError::BindingFlag {
                mechanism: SCRAM_SHA_256_PLUS,
            },
        ),
        (
            binding(),
            SCRAM_SHA_256,
            "y,,n=,r=abc",
            ScramError::Downgrade,
        ),
        (
            none(),
            SCRAM_SHA_256,
            "n,a=root,n=,r=abc",
            ScramError::Extension,
        ),
        (
            none(),
            SCRAM_SHA_256,
            "n,,m=x,n=,r=abc",
            ScramError::Extension,
        ),
    ];
    for (binding, mechanism, data, error) in table {
        let got = server(binding).client_first(&initial(mechanism, data));
        assert_eq!(got.unwrap_err(), error, "{mechanism} {data}");
    }
    for data in [
        "",
        "n",
        "n,",
        "n,,",
        "n,,n=",
        "n,,n=,r=",
        "n,,n=,r=\u{e9}",
        "x,,n=,r=a",
        "p=tls-unique,,n=,r=a",
    ] {
        let got = server(none()).client_first(&initial(SCRAM_SHA_256, data));
        assert!(matches!(got, Err(ScramError::Malformed(_))), "{data}");
    }
    let silent = SaslInitialResponse {
        mechanism: WireStr::from_static(SCRAM_SHA_256),
        data: None,
    };
    assert!(server(none()).client_first(&silent).is_err());
    let long = format!("n,,n=,r={}", "x".repeat(5000));
    assert!(
        server(none())
            .client_first(&initial(SCRAM_SHA_256, &long))
            .is_err()
    );
}

#[test]
fn client_final_messages_are_checked() {
    let table = [
        ("", None),
        ("c=biws", None),
        ("c=biws,r=x,p=", None),
        ("c=biws,r=x,p=AAAA", None),
        (
            "r=x,c=biws,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
            None,
        ),
        (
            "c=biws,r=other,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
            None,
        ),
        (
            &CLIENT_FINAL.replace("biws", "eSws"),
            Some(ScramError::BindingMismatch),
        ),
        (
            &CLIENT_FINAL.replace("dHzb", "dHzc"),
            Some(ScramError::NotAuthenticated),
        ),
        (
            &CLIENT_FINAL.replace(",p=", ",x=1,p="),
            Some(ScramError::NotAuthenticated),
        ),
    ];
    for (data, error) in table {
        let (state, _) = server(ChannelBinding::None)
            .client_first(&initial(SCRAM_SHA_256, CLIENT_FIRST))
            .unwrap();
        let got = state.client_final(data.as_bytes()).unwrap_err();
        match error {
            Some(error) => assert_eq!(got, error, "{data}"),
            None => assert!(matches!(got, ScramError::Malformed(_)), "{data}: {got}"),
        }
    }
}

#[test]
fn a_hostile_target_gets_no_proof() {
    let first = |text: &str| {
        client_after_choice()
            .server_first(text.as_bytes())
            .map(|_| ())
            .unwrap_err()
    };
    for count in ["1", "4095", "600001", "4294967296", "18446744073709551615"] {
        let text = SERVER_FIRST.replace("4096", count);
        assert!(
            matches!(first(&text), ScramError::Iterations { .. }),
            "{count}"
        );
    }
    for text in [
        "",
        "m=x,r=a",
        &SERVER_FIRST.replace("rOpr", "xOpr"),
        &format!("r={CLIENT_NONCE},s={SALT},i=4096"),
        &SERVER_FIRST.replace(SALT, ""),
        &SERVER_FIRST.replace("i=4096", "i=-1"),
        &SERVER_FIRST.replace("i=4096", "i="),
    ] {
        assert!(
            matches!(
                first(text),
                ScramError::Malformed(_) | ScramError::Extension
            ),
            "{text}"
        );
    }
}

#[test]
fn the_target_has_to_prove_itself() {
    for (data, error) in [
        ("e=invalid-proof", ScramError::Refused),
        ("v=AAAA", ScramError::ServerNotProved),
        (
            "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=",
            ScramError::Malformed("bad server signature"),
        ),
        ("", ScramError::Malformed("no server signature")),
    ] {
        let (state, _) = client_after_choice()
            .server_first(SERVER_FIRST.as_bytes())
            .unwrap();
        assert_eq!(state.server_final(data.as_bytes()).unwrap_err(), error);
    }
}

fn client_after_choice() -> ScramClientFirst {
    ScramClient::new(PASSWORD, ChannelBinding::None, nonce(CLIENT_NONCE))
        .choose(&mechanisms(&[SCRAM_SHA_256]))
        .unwrap()
        .0
}

#[test]
fn the_client_takes_no_other_mechanism() {
    for offered in [&[][..], &["OAUTHBEARER"], &[SCRAM_SHA_256_PLUS]] {
        let got = client(PASSWORD, ChannelBinding::None).choose(&mechanisms(offered));
        assert_eq!(got.map(|_| ()).unwrap_err(), ScramError::NoMechanism);
    }
}

/// The least of a certificate: an empty body and a signature algorithm.
fn certificate(oid: &[u8]) -> Vec<u8> {
    let algorithm = [&[0x06, u8::try_from(oid.len()).unwrap()], oid].concat();
    let inner = [
        &[0x30, 0x00, 0x30, u8::try_from(algorithm.len()).unwrap()],
        algorithm.as_slice(),
    ]
    .concat();
    [
        &[0x30, 0x81, u8::try_from(inner.len()).unwrap()],
        inner.as_slice(),
    ]
    .concat()
}

#[test]
fn certificates_are_hashed_as_they_were_signed() {
    let rsa = |last| vec![0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, last];
    let ecdsa = |last| vec![0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, last];
    let ed25519 = vec![0x2b, 0x65, 0x70];
    let table = [
        (rsa(4), Some(32)),
        (rsa(5), Some(32)),
        (rsa(11), Some(32)),
        (rsa(12), Some(48)),
        (rsa(13), Some(64)),
        (rsa(10), None),
        (ecdsa(2), Some(32)),
        (ecdsa(3), Some(48)),
        (ecdsa(4), Some(64)),
        (ed25519, None),
    ];
    for (oid, len) in table {
        let hash = tls_server_end_point(&certificate(&oid));
        assert_eq!(hash.map(|hash| hash.len()), len, "{oid:x?}");
    }
}

#[test]
fn no_certificate_gives_no_binding() {
    for der in [
        &b""[..],
        b"\x30",
        b"\x30\x84\xff\xff\xff\xff",
        b"\x30\x03\x30\x00\x30",
    ] {
        assert_eq!(tls_server_end_point(der), None);
    }
}
