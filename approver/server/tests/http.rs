//! The HTTP client against the real router on loopback, also through a link that loses answers.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::support::{
    BOT_TOKEN, PROXY_TOKEN, approve, binding, console_token, decision, live, open, request,
    served::{Served, desk, serving},
};
use abeyance_api::{
    CardDesk, CardFailure, CardReceipt, ChatKind, Claimant, DecideError, Decision, DecisionDesk,
    DeskError, HoldDesk, HoldFilter, HoldId, HoldState, HoldView, Outcome, Permit, RecordDesk,
    Resolution, Surface, WithdrawReason,
    client::{HttpDesk, HttpDeskConfig},
};
use abeyance_approver::{Approver, serve, tls_server_config};
use secrecy::ExposeSecret as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

async fn served(tls: Option<Arc<rustls::ServerConfig>>) -> Served {
    let (approver, folder) = live(Duration::from_secs(60)).await;
    serving(approver, folder, tls).await
}

#[tokio::test]
async fn the_whole_life_of_a_hold() {
    let s = served(None).await;
    let proxy = desk(s.address, PROXY_TOKEN);
    let bot = desk(s.address, BOT_TOKEN);
    let id = open(&proxy).await;
    let mut waiting = JoinSet::new();
    let (waiter, awaited) = (proxy.clone(), id.clone());
    waiting.spawn(async move { waiter.hold_wait(&awaited).await });

    let own = bot
        .hold_decide(decision(&id, "ann", Decision::Approve))
        .await;
    assert_eq!(own.unwrap_err(), DecideError::OwnAgent);
    approve(&bot, &id).await;
    let resolution = waiting.join_next().await.unwrap().unwrap().unwrap();
    assert!(matches!(resolution, Resolution::Approved { .. }));

    let other = Permit::claim(&proxy, &id, binding("other"))
        .await
        .unwrap_err();
    assert_eq!(other, DeskError::BindingMismatch);
    let permit = Permit::claim(&proxy, &id, binding("batch")).await.unwrap();
    assert!(permit.covers(binding("batch")));
    let again = Permit::claim(&proxy, &id, binding("batch"))
        .await
        .unwrap_err();
    assert_eq!(
        again,
        DeskError::Conflict {
            state: HoldState::Claimed
        }
    );
    let outcome = Outcome::Failed {
        sqlstate: "23503".into(),
        elapsed: Duration::from_millis(3),
    };
    proxy.hold_report(&id, outcome).await.unwrap();
    assert_eq!(bot.hold_view(&id).await.unwrap().state, HoldState::Failed);

    let id = open(&proxy).await;
    proxy
        .hold_withdraw(&id, WithdrawReason::ClientCancelled)
        .await
        .unwrap();
    let filter = HoldFilter {
        pending_only: false,
        limit: 10,
    };
    let listed = bot.hold_list(filter).await.unwrap();
    assert_eq!(
        listed.iter().map(|hold| hold.state).collect::<Vec<_>>(),
        [HoldState::Withdrawn, HoldState::Failed]
    );
    let nowhere = "HLD-2222".parse().unwrap();
    assert_eq!(
        proxy.hold_wait(&nowhere).await.unwrap_err(),
        DeskError::NotFound
    );
}

/// The token is every proxy's; a hold is one proxy's.
#[tokio::test]
async fn only_its_own_proxy_speaks_for_a_hold() {
    let s = served(None).await;
    let (own, other) = (desk(s.address, PROXY_TOKEN), desk(s.address, PROXY_TOKEN));
    let bot = desk(s.address, BOT_TOKEN);
    let id = open(&own).await;
    let outcome = || Outcome::Executed {
        tags: vec!["DELETE 1".to_owned()],
        rows: Some(1),
        elapsed: Duration::from_millis(3),
    };
    let state = async || bot.hold_view(&id).await.unwrap().state;
    let gone = WithdrawReason::ClientGone;
    let foreign = |error: DeskError| {
        let text = error.to_string();
        assert!(text.contains("another proxy's hold"), "{text}");
    };
    foreign(other.hold_withdraw(&id, gone).await.unwrap_err());
    approve(&bot, &id).await;
    let claim = Permit::claim(&other, &id, binding("batch")).await;
    foreign(claim.unwrap_err());
    foreign(other.hold_withdraw(&id, gone).await.unwrap_err());
    assert_eq!(state().await, HoldState::Approved);
    Permit::claim(&own, &id, binding("batch")).await.unwrap();
    foreign(other.hold_report(&id, outcome()).await.unwrap_err());
    assert_eq!(state().await, HoldState::Claimed);
    own.hold_report(&id, outcome()).await.unwrap();
    assert_eq!(state().await, HoldState::Executed);

    let bob = Claimant::Person {
        id: "bob".parse().unwrap(),
    };
    let history = bot.hold_history(&id, &bob).await.unwrap();
    let tried = history.lines.iter().map(|line| line.text.as_str());
    let tried: Vec<&str> = tried.filter(|line| line.contains("tried")).collect();
    assert_eq!(
        tried,
        [
            "Another proxy than its own tried to take it back and was refused",
            "Another proxy than its own tried to use its approval and was refused",
            "Another proxy than its own tried to take it back and was refused",
            "Another proxy than its own tried to report what came of it and was refused",
        ]
    );
}

#[tokio::test]
async fn cards_over_http() {
    let s = served(None).await;
    let bot = desk(s.address, BOT_TOKEN);
    let id = open(&s.approver).await;
    let cards = bot.cards_due(ChatKind::Slack, 10).await.unwrap();
    assert_eq!(cards.len(), 1);
    bot.card_begin(&cards[0]).await.unwrap();
    let failure = CardFailure {
        chat: ChatKind::Slack,
        hold: id.clone(),
        channel: cards[0].channel.clone(),
        version: 1,
        error: "timeout".into(),
        retry_in: Some(Duration::ZERO),
        in_doubt: true,
    };
    bot.card_failed(failure).await.unwrap();
    bot.cards_changed(Duration::from_secs(20)).await;
    let cards = bot.cards_due(ChatKind::Slack, 10).await.unwrap();
    assert!(cards[0].in_doubt && cards[0].failures == 1);
    let receipt = CardReceipt {
        chat: ChatKind::Slack,
        hold: id,
        channel: cards[0].channel.clone(),
        message: "1700000000.000100".into(),
        version: cards[0].hold.version,
    };
    bot.card_delivered(receipt).await.unwrap();
    assert!(bot.cards_due(ChatKind::Slack, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_token_opens_its_own_doors_only() {
    let s = served(None).await;
    let id = open(&s.approver).await;
    let stranger = desk(s.address, "no such token anywhere");
    let refused = stranger.hold_open(request()).await.unwrap_err();
    assert!(matches!(refused, DeskError::Refused { detail } if detail.contains("token")));
    let proxy = desk(s.address, PROXY_TOKEN);
    let refused = proxy
        .hold_decide(decision(&id, "bob", Decision::Approve))
        .await;
    assert!(matches!(
        refused.unwrap_err(),
        DecideError::Unavailable { .. }
    ));
    let bob = desk(s.address, console_token("bob").expose_secret());
    let mut unsaid = decision(&id, "bob", Decision::Deny);
    unsaid.reason = None;
    let unsaid = bob.hold_decide(unsaid).await.unwrap_err().to_string();
    assert!(unsaid.contains("a denial needs a reason"), "{unsaid}");
    let for_ann = bob.hold_decide(decision(&id, "ann", Decision::Deny)).await;
    assert!(matches!(for_ann.unwrap_err(), DecideError::Invalid { .. }));
    assert!(matches!(
        bob.hold_open(request()).await,
        Err(DeskError::Refused { .. })
    ));
    assert!(matches!(
        bob.cards_due(ChatKind::Slack, 1).await,
        Err(DeskError::Refused { .. })
    ));
    let bot = desk(s.address, BOT_TOKEN);
    let refused = bot.hold_open(request()).await.unwrap_err();
    assert!(matches!(refused, DeskError::Refused { .. }));
    assert_eq!(
        s.approver.hold_view(&id).await.unwrap().state,
        HoldState::Pending
    );
    let by_bob = bob
        .hold_decide(decision(&id, "bob", Decision::Approve))
        .await;
    assert_eq!(by_bob.unwrap().votes[0].surface, Surface::Cli);
}

/// As somebody types it: the path says which hold, the token who.
#[tokio::test]
async fn with_ones_own_token_a_decision_is_all_there_is_to_say() {
    let s = served(None).await;
    let id = open(&s.approver).await;
    let url = format!("http://{}/api/v1/holds/{id}/decision", s.address);
    let client = reqwest::Client::new();
    let bob = console_token("bob");
    let post = |token: &str, body: &str| {
        let post = client.post(&url).bearer_auth(token);
        post.body(body.to_owned()).send()
    };
    for (token, body, status) in [
        (BOT_TOKEN, r#"{"decision":"approve"}"#, 400),
        (
            bob.expose_secret(),
            r#"{"hold":"HLD-2222","decision":"approve"}"#,
            422,
        ),
        (
            bob.expose_secret(),
            r#"{"claimant":{"by":"person","id":"cy"},"decision":"approve"}"#,
            422,
        ),
    ] {
        assert_eq!(post(token, body).await.unwrap().status(), status, "{body}");
    }
    let body = r#"{"decision":"approve","reason":"checked"}"#;
    let answer = post(bob.expose_secret(), body).await.unwrap();
    let hold: HoldView = answer.json().await.unwrap();
    assert_eq!(hold.votes[0].person.id.as_str(), "bob");
    assert_eq!(hold.votes[0].reason.as_deref(), Some("checked"));
    assert_eq!(hold.state, HoldState::Approved);
}

#[tokio::test]
async fn nobody_there() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let _already = rustls::crypto::ring::default_provider().install_default();
    let refused = desk(address, PROXY_TOKEN)
        .hold_open(request())
        .await
        .unwrap_err();
    assert!(
        matches!(refused, DeskError::Unavailable { .. }),
        "{refused}"
    );
}

/// Passes requests on and cuts the connection instead of answering, for the first `losses`.
async fn lossy(
    to: SocketAddr,
    losses: usize,
    tasks: &mut JoinSet<()>,
) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(AtomicUsize::new(0));
    let counter = seen.clone();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut client, _)) = listener.accept().await {
            let counter = counter.clone();
            connections.spawn(async move {
                let mut server = TcpStream::connect(to).await.unwrap();
                let mut request = vec![0; 64 * 1024];
                let mut answer = vec![0; 64 * 1024];
                while let Ok(read @ 1..) = client.read(&mut request).await {
                    server.write_all(&request[..read]).await.unwrap();
                    let Ok(got @ 1..) = server.read(&mut answer).await else {
                        break;
                    };
                    let sign_of_life = request.starts_with(b"POST /api/v1/proxies/alive");
                    if !sign_of_life && counter.fetch_add(1, Ordering::SeqCst) < losses {
                        break;
                    }
                    client.write_all(&answer[..got]).await.unwrap();
                }
            });
        }
    });
    (address, seen)
}

#[tokio::test]
async fn a_lost_answer_makes_no_second_hold_and_loses_no_permit() {
    let s = served(None).await;
    let mut tasks = JoinSet::new();
    let (address, seen) = lossy(s.address, 2, &mut tasks).await;
    let proxy = desk(address, PROXY_TOKEN);
    let id = open(&proxy).await;
    assert_eq!(seen.load(Ordering::SeqCst), 3);
    let filter = HoldFilter {
        pending_only: false,
        limit: 10,
    };
    assert_eq!(s.approver.hold_list(filter).await.unwrap().len(), 1);
    approve(&s.approver, &id).await;

    // The next answer is lost, too.
    seen.store(1, Ordering::SeqCst);
    Permit::claim(&proxy, &id, binding("batch")).await.unwrap();
    assert_eq!(seen.load(Ordering::SeqCst), 3);
    let again = Permit::claim(&proxy, &id, binding("batch"))
        .await
        .unwrap_err();
    assert_eq!(
        again,
        DeskError::Conflict {
            state: HoldState::Claimed
        }
    );
}

/// The hold is in this state, soon.
async fn until(approver: &Approver, id: &HoldId, state: HoldState) -> HoldView {
    let patience = Duration::from_secs(120);
    let there = async {
        loop {
            let view = approver.hold_view(id).await.unwrap();
            if view.state == state {
                return view;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let there = tokio::time::timeout(patience, there).await;
    there.unwrap()
}

async fn all(approver: &Approver) -> Vec<HoldView> {
    let filter = HoldFilter {
        pending_only: false,
        limit: 10,
    };
    approver.hold_list(filter).await.unwrap()
}

/// Every try of the opening is answered into the void, and so are the first tries to take it back.
#[tokio::test]
async fn an_opening_whose_answer_never_comes_is_taken_back() {
    let s = served(None).await;
    let mut tasks = JoinSet::new();
    let (address, seen) = lossy(s.address, 6, &mut tasks).await;
    let proxy = desk(address, PROXY_TOKEN);
    let refused = proxy.hold_open(request()).await.unwrap_err();
    assert!(matches!(refused, DeskError::Unavailable { .. }));
    let id = all(&s.approver).await.remove(0).id;
    let view = until(&s.approver, &id, HoldState::Withdrawn).await;
    let reason = WithdrawReason::AnswerLost;
    assert_eq!(view.resolution, Some(Resolution::Withdrawn { reason }));
    while seen.load(Ordering::SeqCst) < 7 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(all(&s.approver).await.len(), 1);

    // A ticket is its agent's, who sends the same statement again and finds it.
    let ticket = || {
        let mut request = request();
        request.manner.ticket = true;
        request
    };
    let (address, seen) = lossy(s.address, 4, &mut tasks).await;
    let unlucky = desk(address, PROXY_TOKEN);
    assert!(unlucky.hold_open(ticket()).await.is_err());
    while seen.load(Ordering::SeqCst) < 5 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let found = proxy.hold_open(ticket()).await.unwrap();
    let waiting = s.approver.hold_view(&found.id).await.unwrap();
    assert_eq!((waiting.state, waiting.version), (HoldState::Pending, 1));
}

/// The next call that begins so, and its connection; others, as signs of life, come to nothing.
async fn arriving(listener: &TcpListener, begins: &[u8]) -> (TcpStream, Vec<u8>) {
    loop {
        let (mut caller, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 64 * 1024];
        let read = caller.read(&mut request).await.unwrap();
        request.truncate(read);
        if request.starts_with(begins) {
            return (caller, request);
        }
    }
}

/// Keeps what is sent until it is let go of: the caller hears nothing meanwhile.
#[tokio::test]
async fn an_opening_that_arrives_late_makes_no_hold() {
    let s = served(None).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = desk(listener.local_addr().unwrap(), PROXY_TOKEN);
    let (_caller, late) = tokio::select! {
        opened = proxy.hold_open(request()) => panic!("{opened:?}"),
        late = arriving(&listener, b"POST /api/v1/holds ") => late,
    };
    // The key is closed over another connection.
    let withdrawal = b"POST /api/v1/openings/withdraw ";
    let (mut caller, request) = arriving(&listener, withdrawal).await;
    let mut server = TcpStream::connect(s.address).await.unwrap();
    let mut bytes = vec![0; 64 * 1024];
    server.write_all(&request).await.unwrap();
    let read = server.read(&mut bytes).await.unwrap();
    assert!(bytes.starts_with(b"HTTP/1.1 204"));
    caller.write_all(&bytes[..read]).await.unwrap();

    let mut server = TcpStream::connect(s.address).await.unwrap();
    server.write_all(&late).await.unwrap();
    let read = server.read(&mut bytes).await.unwrap();
    let answer = String::from_utf8_lossy(&bytes[..read]).into_owned();
    assert!(answer.contains("taken back"), "{answer}");
    assert!(all(&s.approver).await.is_empty());
}

#[tokio::test]
async fn a_waiter_outlives_a_lost_connection() {
    let s = served(None).await;
    let id = open(&s.approver).await;
    approve(&s.approver, &id).await;
    let mut tasks = JoinSet::new();
    let (address, _seen) = lossy(s.address, 3, &mut tasks).await;
    let resolution = desk(address, PROXY_TOKEN).hold_wait(&id).await.unwrap();
    assert!(matches!(resolution, Resolution::Approved { .. }));
}

#[tokio::test]
async fn hundreds_wait_at_once() {
    let s = served(None).await;
    let proxy = desk(s.address, PROXY_TOKEN);
    let mut waiting = JoinSet::new();
    let mut ids = Vec::new();
    for _ in 0..200 {
        let id = open(&s.approver).await;
        let (waiter, awaited) = (proxy.clone(), id.clone());
        waiting.spawn(async move { waiter.hold_wait(&awaited).await.unwrap() });
        ids.push(id);
    }
    let mut approvals = JoinSet::new();
    for id in ids {
        let approver = s.approver.clone();
        approvals.spawn(async move { approve(&approver, &id).await });
    }
    approvals.join_all().await;
    for resolution in waiting.join_all().await {
        assert!(matches!(resolution, Resolution::Approved { .. }));
    }
}

#[tokio::test]
async fn malformed_requests_are_refused_without_an_echo() {
    let s = served(None).await;
    let client = reqwest::Client::new();
    let url = format!("http://{}/api/v1/holds", s.address);
    let post = |body: Vec<u8>| {
        client
            .post(&url)
            .bearer_auth(PROXY_TOKEN)
            .header("abeyance-request-id", uuid::Uuid::new_v4().to_string())
            .body(body)
    };
    let answer = post(b"{\"secret\": \"4111-1111\"}".to_vec())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 400);
    assert!(!answer.text().await.unwrap().contains("4111"));
    let answer = post(vec![b' '; 1024 * 1024]).send().await.unwrap();
    assert_eq!(answer.status(), 413);
    let answer = client
        .post(&url)
        .bearer_auth(PROXY_TOKEN)
        .json(&request())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 400, "no request id");
    let answer = client
        .get(format!("{url}/nonsense!"))
        .bearer_auth(BOT_TOKEN)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 404);
    assert!(
        answer.headers()["content-type"]
            .to_str()
            .unwrap()
            .contains("json")
    );
}

struct Certificates {
    ca_pem: String,
    server_cert: String,
    server_key: String,
    client_identity: String,
}

fn certificates() -> Certificates {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let leaf = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (
            params.signed_by(&key, &ca).unwrap().pem(),
            key.serialize_pem(),
        )
    };
    let (server_cert, server_key) = leaf("127.0.0.1");
    let (client_cert, client_key) = leaf("proxy-1");
    Certificates {
        ca_pem: ca.pem(),
        server_cert,
        server_key,
        client_identity: format!("{client_cert}{client_key}"),
    }
}

#[tokio::test]
async fn tls_with_client_certificates() {
    let pem = certificates();
    let ca = pem.ca_pem.as_bytes();
    let tls = tls_server_config(
        pem.server_cert.as_bytes(),
        pem.server_key.as_bytes(),
        Some(ca),
    );
    let s = served(Some(tls.unwrap())).await;
    let desk = |identity: Option<&str>| {
        HttpDesk::new(HttpDeskConfig {
            urls: vec![format!("https://{}", s.address)],
            token: PROXY_TOKEN.into(),
            ca_pem: Some(ca.to_vec()),
            client_identity_pem: identity.map(|pem| pem.as_bytes().to_vec()),
        })
        .unwrap()
    };
    open(&desk(Some(&pem.client_identity))).await;
    let refused = desk(None).hold_open(request()).await.unwrap_err();
    assert!(
        matches!(refused, DeskError::Unavailable { .. }),
        "{refused}"
    );
    let swapped = tls_server_config(pem.server_key.as_bytes(), pem.server_cert.as_bytes(), None);
    assert!(swapped.is_err());
}

#[tokio::test]
async fn stopping_ends_open_pages_at_once() {
    let _already = rustls::crypto::ring::default_provider().install_default();
    let (approver, _folder) = live(Duration::from_secs(60)).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let (router, until) = (approver.router(), stop.clone());
    tasks.spawn(async move { serve(listener, router, None, until).await.unwrap() });

    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let log_in = client
        .post(format!("{base}/login"))
        .header("origin", &base)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("token={}", console_token("bob").expose_secret()));
    let answer = log_in.send().await.unwrap();
    let cookie = answer.headers()["set-cookie"].to_str().unwrap();
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let page = client.get(format!("{base}/live")).header("cookie", cookie);
    let mut page = page.send().await.unwrap();
    assert_eq!(page.status(), 200, "the page is open");

    stop.cancel();
    tasks.join_next().await.unwrap().unwrap();
    // A page that held the stop up to its limit would be cut off, which is an error here.
    assert!(
        page.chunk().await.unwrap().is_none(),
        "it ended in good order"
    );
}
