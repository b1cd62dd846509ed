//! A target that keeps every message it gets and answers as a small model of the server does.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use abeyance_wire::postgres::{
    Authentication, BackendMessage, CancelKey, Direction, ErrorFields, FrontendMessage, SqlState,
    StartupPacket, Subject, TransactionStatus, WireStr, split_frame, split_startup,
};
use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

pub struct FakeTarget {
    listener: TcpListener,
}

/// One connection of the gateway to the target.
pub struct TargetSession {
    stream: TcpStream,
    input: BytesMut,
    pub model: Model,
    got: Arc<watch::Sender<Vec<FrontendMessage>>>,
    /// Groups of the second gate that are still to end.
    asked: usize,
}

/// What the server would know.
pub struct Model {
    pub status: TransactionStatus,
    pub statements: HashMap<WireStr, String>,
    pub portals: HashMap<WireStr, String>,
    skipping: bool,
    /// Plans, or errors, of statements with a certain text in them.
    pub plans: Vec<(&'static str, Result<&'static str, [u8; 5]>)>,
    /// What was to be explained.
    pub explained: Arc<Mutex<Vec<String>>>,
    /// Texts that were executed, by whatever way.
    pub ran: Arc<Mutex<Vec<String>>>,
}

impl FakeTarget {
    pub async fn start() -> Self {
        Self {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
        }
    }

    pub fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    /// The next session, past its start-up.
    pub async fn accept(&self) -> TargetSession {
        let (stream, _) = self.listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut session = TargetSession {
            stream,
            input: BytesMut::new(),
            model: Model {
                status: TransactionStatus::Idle,
                statements: HashMap::new(),
                portals: HashMap::new(),
                skipping: false,
                plans: Vec::new(),
                explained: Arc::default(),
                ran: Arc::default(),
            },
            got: Arc::new(watch::Sender::new(Vec::new())),
            asked: 0,
        };
        session.greet().await;
        session
    }

    /// The next cancel request.
    pub async fn cancelled(&self) -> u32 {
        let (mut stream, _) = self.listener.accept().await.unwrap();
        let mut input = BytesMut::new();
        loop {
            match split_startup(&mut input).unwrap() {
                Some(StartupPacket::Cancel(cancel)) => return cancel.process_id,
                Some(_) => panic!("not a cancel request"),
                None => {
                    stream.read_buf(&mut input).await.unwrap();
                }
            }
        }
    }
}

impl TargetSession {
    async fn greet(&mut self) {
        loop {
            match split_startup(&mut self.input).unwrap() {
                Some(StartupPacket::Startup(_)) => break,
                Some(_) => panic!("not a start-up message"),
                None => {
                    self.stream.read_buf(&mut self.input).await.unwrap();
                }
            }
        }
        let setting = |name: &'static str, value: &'static str| BackendMessage::ParameterStatus {
            name: WireStr::from_static(name),
            value: WireStr::from_static(value),
        };
        self.send(&[
            BackendMessage::Authentication(Authentication::Ok),
            setting("client_encoding", "UTF8"),
            setting("standard_conforming_strings", "on"),
            setting("server_version", "15.20"),
            BackendMessage::BackendKeyData {
                process_id: 4242,
                key: CancelKey::new(b"true").unwrap(),
            },
            BackendMessage::ReadyForQuery(TransactionStatus::Idle),
        ])
        .await;
    }

    pub async fn send(&mut self, messages: &[BackendMessage]) {
        let mut out = BytesMut::new();
        for message in messages {
            message.encode(&mut out).unwrap();
        }
        self.stream.write_all(&out).await.unwrap();
    }

    /// The next message, not answered; `None` when the gateway is gone.
    pub async fn receive(&mut self) -> Option<FrontendMessage> {
        loop {
            if let Some(frame) =
                split_frame(&mut self.input, Direction::Frontend, usize::MAX >> 1).unwrap()
            {
                let message = FrontendMessage::decode(&frame).unwrap();
                self.got.send_modify(|got| got.push(message.clone()));
                if self.asks(&message) {
                    let ran = self.model.ran.lock().unwrap().clone();
                    let replies = self.model.reply(&message);
                    *self.model.ran.lock().unwrap() = ran;
                    self.send(&replies).await;
                    continue;
                }
                return Some(message);
            }
            match self.stream.read_buf(&mut self.input).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// Whether the message belongs to what the second gate asks: from its BEGIN to its second Sync.
    fn asks(&mut self, message: &FrontendMessage) -> bool {
        if matches!(message, FrontendMessage::Parse(parse) if parse.sql.as_bytes() == ASKS) {
            self.asked = 2;
        }
        let within = self.asked > 0;
        if matches!(message, FrontendMessage::Sync) {
            self.asked = self.asked.saturating_sub(1);
        }
        within
    }

    /// Answers as the model does until the gateway leaves.
    pub async fn serve(mut self) -> Model {
        while let Some(message) = self.receive().await {
            if matches!(message, FrontendMessage::Terminate) {
                break;
            }
            let replies = self.model.reply(&message);
            self.send(&replies).await;
        }
        self.model
    }

    /// Serves beside the test; what ran can be looked at meanwhile.
    pub fn spawn(self) -> Served {
        let ran = self.model.ran.clone();
        let explained = self.model.explained.clone();
        let got = self.got.clone();
        Served {
            ran,
            explained,
            got,
            task: tokio::task::spawn(self.serve()),
        }
    }
}

/// How the second gate begins to ask outside of a transaction.
const ASKS: &[u8] = b"BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY";

/// How the second gate asks.
const EXPLAIN: &str = "EXPLAIN (VERBOSE, FORMAT JSON) ";

/// What the model makes of a statement, unless the test says otherwise.
const PLAN: &[u8] = br#"[{"Plan": {"Node Type": "Result", "Plan Rows": 1}}]"#;

pub struct Served {
    pub ran: Arc<Mutex<Vec<String>>>,
    explained: Arc<Mutex<Vec<String>>>,
    got: Arc<watch::Sender<Vec<FrontendMessage>>>,
    pub task: tokio::task::JoinHandle<Model>,
}

impl Served {
    pub fn ran(&self) -> Vec<String> {
        self.ran.lock().unwrap().clone()
    }

    /// What the second gate asked about.
    pub fn explained(&self) -> Vec<String> {
        self.explained.lock().unwrap().clone()
    }

    /// How often a text came, in whatever message, apart from what the gateway asks on its own account.
    pub fn saw(&self, needle: &str) -> bool {
        let own = |text: &str| text.starts_with("EXPLAIN (") || text.starts_with("abeyance: ");
        self.got.borrow().iter().any(|message| {
            let text = match message {
                FrontendMessage::Query(query) => query.sql.to_string_lossy().into_owned(),
                FrontendMessage::Parse(parse) => parse.sql.to_string_lossy().into_owned(),
                _ => return false,
            };
            text.contains(needle) && !own(&text)
        })
    }
}

impl Model {
    fn error(&mut self, state: &[u8; 5]) -> BackendMessage {
        if self.status == TransactionStatus::InTransaction {
            self.status = TransactionStatus::Failed;
        }
        let state = SqlState::from_bytes(state).unwrap();
        BackendMessage::ErrorResponse(ErrorFields::error(state, "the model says no"))
    }

    /// Runs one statement.
    fn run(&mut self, sql: &str) -> BackendMessage {
        let upper = sql.to_ascii_uppercase();
        let word = upper
            .split_whitespace()
            .next()
            .unwrap_or_default()
            .to_owned();
        let ends = matches!(word.as_str(), "ROLLBACK" | "COMMIT");
        if self.status == TransactionStatus::Failed && !ends {
            return self.error(b"25P02");
        }
        if word == "FAIL" || sql.starts_with("abeyance:") || upper.contains("FAIL()") {
            return self.error(b"42601");
        }
        let named = |index: usize| -> WireStr {
            let name = sql.split_whitespace().nth(index).unwrap_or_default();
            WireStr::from_text_lossy(name)
        };
        match word.as_str() {
            "BEGIN" => self.status = TransactionStatus::InTransaction,
            "ROLLBACK" if upper.starts_with("ROLLBACK TO") => {
                self.status = TransactionStatus::InTransaction;
            }
            "ROLLBACK" | "COMMIT" => {
                self.status = TransactionStatus::Idle;
                self.portals.clear();
            }
            "PREPARE" => {
                let body = sql.split_once(" AS ").map_or("", |(_, body)| body);
                if self.statements.contains_key(&named(1)) {
                    return self.error(b"42P05");
                }
                self.statements.insert(named(1), body.to_owned());
            }
            "DEALLOCATE" if self.statements.remove(&named(1)).is_none() => {
                return self.error(b"26000");
            }
            "EXECUTE" => {
                let body = self.statements.get(&named(1)).cloned();
                let Some(body) = body.filter(|body| !body.starts_with("EXECUTE")) else {
                    return self.error(b"26000");
                };
                return self.run(&body);
            }
            _ => {}
        }
        self.ran.lock().unwrap().push(sql.to_owned());
        let tag = match word.as_str() {
            "DELETE" => "DELETE 3".to_owned(),
            "SELECT" => "SELECT 1".to_owned(),
            _ => word,
        };
        BackendMessage::CommandComplete(abeyance_wire::postgres::backend::CommandTag::new(
            WireStr::from_text_lossy(&tag),
        ))
    }

    /// What it makes of a statement, or of the one that is prepared for being explained.
    fn plan(&mut self, explained: &str, reply: BackendMessage) -> Vec<BackendMessage> {
        let prepared = self
            .statements
            .get(&WireStr::from_static("_abeyance_asked"));
        let text = match prepared {
            Some(text) if explained.starts_with("EXECUTE _abeyance_asked") => text.clone(),
            _ => explained.to_owned(),
        };
        self.explained.lock().unwrap().push(text.clone());
        let plan = self.plans.iter().find(|(part, _)| text.contains(part));
        match plan.map(|(_, plan)| *plan) {
            Some(Err(state)) => {
                self.skipping = true;
                vec![self.error(&state)]
            }
            Some(Ok(plan)) => vec![BackendMessage::DataRow(vec![Some(plan.into())]), reply],
            None => {
                let plan = bytes::Bytes::from_static(PLAN);
                vec![BackendMessage::DataRow(vec![Some(plan)]), reply]
            }
        }
    }

    fn group_error(&mut self, state: &[u8; 5]) -> Vec<BackendMessage> {
        self.skipping = true;
        vec![self.error(state)]
    }

    pub fn reply(&mut self, message: &FrontendMessage) -> Vec<BackendMessage> {
        if self.skipping && !matches!(message, FrontendMessage::Sync) {
            return Vec::new();
        }
        match message {
            FrontendMessage::Query(query) => {
                self.statements.remove(&WireStr::default());
                self.portals.remove(&WireStr::default());
                let mut replies = vec![self.run(&query.sql.to_string_lossy())];
                if self.status == TransactionStatus::Idle {
                    self.portals.clear();
                }
                replies.push(BackendMessage::ReadyForQuery(self.status));
                replies
            }
            FrontendMessage::Parse(parse) => {
                let sql = parse.sql.to_string_lossy().into_owned();
                let taken = !parse.name.is_empty() && self.statements.contains_key(&parse.name);
                if taken {
                    return self.group_error(b"42P05");
                }
                if sql.starts_with("abeyance:") || sql.starts_with("FAIL") {
                    return self.group_error(b"42601");
                }
                self.statements.insert(parse.name.clone(), sql);
                vec![BackendMessage::ParseComplete]
            }
            FrontendMessage::Bind(bind) => {
                let Some(sql) = self.statements.get(&bind.statement).cloned() else {
                    return self.group_error(b"26000");
                };
                self.portals.insert(bind.portal.clone(), sql);
                vec![BackendMessage::BindComplete]
            }
            FrontendMessage::Describe(Subject::Statement(_)) => vec![
                BackendMessage::ParameterDescription(Vec::new()),
                BackendMessage::NoData,
            ],
            FrontendMessage::Describe(Subject::Portal(_)) => vec![BackendMessage::NoData],
            FrontendMessage::Execute(execute) => {
                let Some(sql) = self.portals.get(&execute.portal).cloned() else {
                    return self.group_error(b"34000");
                };
                let reply = self.run(&sql);
                self.skipping = matches!(reply, BackendMessage::ErrorResponse(_));
                if let Some(explained) = sql.strip_prefix(EXPLAIN)
                    && !self.skipping
                {
                    return self.plan(explained, reply);
                }
                if sql == "SHOW transaction_isolation" && !self.skipping {
                    let level = bytes::Bytes::from_static(b"read committed");
                    return vec![BackendMessage::DataRow(vec![Some(level)]), reply];
                }
                vec![reply]
            }
            FrontendMessage::Close(Subject::Statement(name)) => {
                self.statements.remove(name);
                vec![BackendMessage::CloseComplete]
            }
            FrontendMessage::Close(Subject::Portal(name)) => {
                self.portals.remove(name);
                vec![BackendMessage::CloseComplete]
            }
            FrontendMessage::Sync => {
                self.skipping = false;
                if self.status == TransactionStatus::Idle {
                    self.portals.clear();
                }
                vec![BackendMessage::ReadyForQuery(self.status)]
            }
            FrontendMessage::Flush
            | FrontendMessage::CopyData(_)
            | FrontendMessage::CopyDone
            | FrontendMessage::CopyFail { .. } => Vec::new(),
            other => panic!("the target got {}", other.name()),
        }
    }
}
