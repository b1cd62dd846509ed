//! A client that says exactly what the test wants.

use std::net::SocketAddr;

use abeyance_wire::postgres::{
    Authentication, BackendMessage, Bind, CancelKey, CancelRequest, Direction, ErrorFields,
    Execute, FrontendMessage, Parse, ProtocolVersion, Query, StartupMessage, Subject,
    TransactionStatus, WireStr,
    frontend::encode_sasl_response,
    scram::{ChannelBinding, Nonce, ScramClient},
    split_frame,
};
use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::PASSWORD;

pub struct Client {
    pub stream: TcpStream,
    input: BytesMut,
    pub address: SocketAddr,
    pub key: Option<(u32, CancelKey)>,
}

pub fn text(text: &str) -> WireStr {
    WireStr::from_text_lossy(text)
}

pub fn query(sql: &str) -> FrontendMessage {
    FrontendMessage::Query(Query { sql: text(sql) })
}

pub fn parse(name: &str, sql: &str) -> FrontendMessage {
    FrontendMessage::Parse(Parse {
        name: text(name),
        sql: text(sql),
        param_oids: Vec::new(),
    })
}

pub fn bind(portal: &str, statement: &str) -> FrontendMessage {
    FrontendMessage::Bind(Bind {
        portal: text(portal),
        statement: text(statement),
        param_formats: Vec::new(),
        params: Vec::new(),
        result_formats: Vec::new(),
    })
}

pub fn execute(portal: &str) -> FrontendMessage {
    FrontendMessage::Execute(Execute {
        portal: text(portal),
        rows_max: 0,
    })
}

pub fn close_statement(name: &str) -> FrontendMessage {
    FrontendMessage::Close(Subject::Statement(text(name)))
}

impl Client {
    pub async fn raw(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            input: BytesMut::new(),
            address,
            key: None,
        }
    }

    pub async fn login(address: SocketAddr) -> Self {
        let mut client = Self::raw(address).await;
        let startup = StartupMessage::new(ProtocolVersion::V3_0, "bot", "clinic");
        client.startup(&startup).await;
        client.authenticate(PASSWORD).await.unwrap();
        client.ready().await;
        client
    }

    pub async fn startup(&mut self, message: &StartupMessage) {
        let mut out = BytesMut::new();
        message.encode(&mut out).unwrap();
        self.stream.write_all(&out).await.unwrap();
    }

    /// Logs in, or gives the error it got.
    pub async fn authenticate(&mut self, password: &str) -> Result<(), ErrorFields> {
        let BackendMessage::Authentication(Authentication::Sasl { mechanisms }) =
            self.receive().await
        else {
            panic!("no SASL");
        };
        let nonce = Nonce::random().unwrap();
        let scram = ScramClient::new(password, ChannelBinding::None, nonce);
        let (scram, first) = scram.choose(&mechanisms).unwrap();
        let mut out = BytesMut::new();
        first.encode(&mut out).unwrap();
        self.stream.write_all(&out).await.unwrap();
        let BackendMessage::Authentication(Authentication::SaslContinue(challenge)) =
            self.receive().await
        else {
            panic!("no challenge");
        };
        let (scram, response) = scram.server_first(&challenge).unwrap();
        let mut out = BytesMut::new();
        encode_sasl_response(&response, &mut out).unwrap();
        self.stream.write_all(&out).await.unwrap();
        match self.receive().await {
            BackendMessage::Authentication(Authentication::SaslFinal(signature)) => {
                let _proved = scram.server_final(&signature).unwrap();
            }
            BackendMessage::ErrorResponse(fields) => return Err(fields),
            other => panic!("not logged in: {}", other.name()),
        }
        assert!(matches!(
            self.receive().await,
            BackendMessage::Authentication(Authentication::Ok)
        ));
        Ok(())
    }

    pub async fn send(&mut self, messages: &[FrontendMessage]) {
        let mut out = BytesMut::new();
        for message in messages {
            message.encode(&mut out).unwrap();
        }
        self.stream.write_all(&out).await.unwrap();
    }

    /// The next message; `None` when the connection has ended.
    pub async fn next(&mut self) -> Option<BackendMessage> {
        loop {
            if let Some(frame) =
                split_frame(&mut self.input, Direction::Backend, usize::MAX >> 1).unwrap()
            {
                return Some(BackendMessage::decode(&frame).unwrap());
            }
            match self.stream.read_buf(&mut self.input).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    pub async fn receive(&mut self) -> BackendMessage {
        self.next().await.expect("the connection ended")
    }

    /// Everything up to ReadyForQuery.
    pub async fn until_ready(&mut self) -> (Vec<BackendMessage>, TransactionStatus) {
        let mut seen = Vec::new();
        loop {
            match self.receive().await {
                BackendMessage::ReadyForQuery(status) => return (seen, status),
                BackendMessage::BackendKeyData { process_id, key } => {
                    self.key = Some((process_id, key));
                }
                other => seen.push(other),
            }
        }
    }

    pub async fn ready(&mut self) -> TransactionStatus {
        self.until_ready().await.1
    }

    pub async fn notice(&mut self) -> ErrorFields {
        match self.receive().await {
            BackendMessage::NoticeResponse(fields) => fields,
            other => panic!("expected a notice, got {}", other.name()),
        }
    }

    pub async fn error(&mut self) -> ErrorFields {
        match self.receive().await {
            BackendMessage::ErrorResponse(fields) => fields,
            other => panic!("expected an error, got {}", other.name()),
        }
    }

    /// Sends a cancel request for this session, and waits until it was dealt with.
    pub async fn cancel(&self) {
        let (process_id, key) = self.key.clone().unwrap();
        let mut out = BytesMut::new();
        CancelRequest { process_id, key }.encode(&mut out);
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(&out).await.unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        assert!(rest.is_empty());
    }
}

pub fn state(fields: &ErrorFields) -> String {
    fields.sqlstate().unwrap().as_str().to_owned()
}
