//! The side that checks a client's proof.

use bytes::Bytes;
use subtle::ConstantTimeEq;

use super::{
    SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramError,
    binding::ChannelBinding,
    message::{BindingFlag, ClientFinal, ClientFirst, Nonce, as_text, encode_base64},
    mock::Credential,
};
use crate::postgres::{Authentication, SaslInitialResponse, WireStr};

/// Waits for the client's choice of mechanism and its first message.
#[derive(Debug)]
pub struct ScramServer {
    user: String,
    credential: Credential,
    binding: ChannelBinding,
    nonce: Nonce,
}

impl ScramServer {
    /// Begins an exchange with the client that gave `user` as its name. With a binding, the
    /// mechanism with channel binding is offered too.
    #[must_use]
    pub fn new(user: &str, credential: Credential, binding: ChannelBinding, nonce: Nonce) -> Self {
        Self {
            user: user.to_owned(),
            credential,
            binding,
            nonce,
        }
    }

    /// What to send first: the mechanisms on offer, best first.
    #[must_use]
    pub fn offer(&self) -> Authentication {
        let plus = self
            .binding
            .is_some()
            .then_some(WireStr::from_static(SCRAM_SHA_256_PLUS));
        let mechanisms = plus
            .into_iter()
            .chain([WireStr::from_static(SCRAM_SHA_256)])
            .collect();
        Authentication::Sasl { mechanisms }
    }

    /// Takes the client's first message; the reply goes to the client.
    ///
    /// # Errors
    /// When mechanism or message is not acceptable.
    pub fn client_first(
        self,
        response: &SaslInitialResponse,
    ) -> Result<(ScramServerFinal, Authentication), ScramError> {
        let data = response
            .data
            .as_deref()
            .ok_or(ScramError::Malformed("empty first message"))?;
        let first = ClientFirst::parse(as_text(data)?)?;
        self.check_flag(&response.mechanism, first.flag)?;
        let nonce = format!("{}{}", first.nonce, self.nonce.as_str());
        let verifier = self.credential.verifier();
        let server_first = format!(
            "r={nonce},s={},i={}",
            encode_base64(verifier.salt()),
            verifier.iterations()
        );
        let reply = Authentication::SaslContinue(Bytes::from(server_first.clone()));
        let next = ScramServerFinal {
            signed_so_far: format!("{},{server_first},", first.bare),
            binding_input: first.flag.input(&self.binding),
            channel_bound: first.flag == BindingFlag::TlsServerEndPoint,
            user: self.user,
            credential: self.credential,
            nonce,
        };
        Ok((next, reply))
    }

    /// Mechanism, flag and what was offered have to agree (RFC 5802, section 6).
    fn check_flag(&self, mechanism: &WireStr, flag: BindingFlag) -> Result<(), ScramError> {
        let bound = flag == BindingFlag::TlsServerEndPoint;
        match mechanism.to_str() {
            Some(SCRAM_SHA_256_PLUS) if !self.binding.is_some() => Err(ScramError::Mechanism),
            Some(SCRAM_SHA_256_PLUS) if !bound => Err(ScramError::BindingFlag {
                mechanism: SCRAM_SHA_256_PLUS,
            }),
            Some(SCRAM_SHA_256) if bound => Err(ScramError::BindingFlag {
                mechanism: SCRAM_SHA_256,
            }),
            Some(SCRAM_SHA_256) if flag == BindingFlag::ServerLacks && self.binding.is_some() => {
                Err(ScramError::Downgrade)
            }
            Some(SCRAM_SHA_256 | SCRAM_SHA_256_PLUS) => Ok(()),
            _ => Err(ScramError::Mechanism),
        }
    }
}

/// Waits for the client's proof.
#[derive(Debug)]
pub struct ScramServerFinal {
    user: String,
    credential: Credential,
    nonce: String,
    /// The `c=` value the client has to repeat.
    binding_input: String,
    channel_bound: bool,
    /// client-first-bare, server-first and the commas behind them.
    signed_so_far: String,
}

impl ScramServerFinal {
    /// Takes the client's final message. The reply goes to the client, followed by
    /// [`Authentication::Ok`].
    ///
    /// # Errors
    /// [`ScramError::NotAuthenticated`] for a wrong password and for an unknown user alike.
    pub fn client_final(
        self,
        data: &[u8],
    ) -> Result<(ScramAuthenticated, Authentication), ScramError> {
        let message = ClientFinal::parse(as_text(data)?)?;
        if message.nonce != self.nonce {
            return Err(ScramError::Malformed("nonce does not match"));
        }
        if !bool::from(
            message
                .binding
                .as_bytes()
                .ct_eq(self.binding_input.as_bytes()),
        ) {
            return Err(ScramError::BindingMismatch);
        }
        let signed = format!("{}{}", self.signed_so_far, message.without_proof);
        let verifier = self.credential.verifier();
        let holds = verifier.proof_holds(&signed, &message.proof);
        if !(holds && self.credential.is_known()) {
            return Err(ScramError::NotAuthenticated);
        }
        let signature = encode_base64(&verifier.server_signature(&signed));
        let reply = Authentication::SaslFinal(Bytes::from(format!("v={signature}")));
        let proof = ScramAuthenticated {
            user: self.user,
            channel_bound: self.channel_bound,
        };
        Ok((proof, reply))
    }
}

/// The proof that the client knows the password of this user. Only verification makes one.
#[derive(Debug)]
pub struct ScramAuthenticated {
    user: String,
    channel_bound: bool,
}

impl ScramAuthenticated {
    /// The name the credential was looked up by.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Whether the proof also covers the proxy's certificate.
    #[must_use]
    pub fn channel_bound(&self) -> bool {
        self.channel_bound
    }
}
