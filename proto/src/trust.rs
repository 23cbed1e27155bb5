//! Who a caller is: decided by an [`Authenticator`], never by what `Hello` claims.
//!
//! The local world and the testbed share a random secret per run. A member's credential is its name
//! and a keyed BLAKE3 of that name: the holder of the secret can check it, and a member cannot be
//! taken for another by a change of `member_uid`. In Kubernetes the control plane is shown a projected
//! token of the pod's service account instead, and tells the member who it is; members among each
//! other keep the secret, which all pods of a topology share.

use std::fmt;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use futures::future::BoxFuture;
use tonic::Status;

use crate::transport::PROTOCOL;
use crate::v1;

/// Name of the credential scheme of [`RunSecret`] in `Hello.scheme`.
pub const RUN_SECRET: &str = "run-secret";

/// Environment variable that carries the secret to local members.
pub const RUN_SECRET_VARIABLE: &str = "BANYAN_RUN_SECRET";

/// Name of the credential scheme of [`ServiceAccount`] in `Hello.scheme`.
pub const SERVICE_ACCOUNT: &str = "service-account";

/// Audience that tokens of members are made for, so that they are of no use elsewhere.
pub const AUDIENCE: &str = "banyan.media";

/// In `Hello.features`: the caller asks for its name and configuration, and will call again.
pub const BOOT: &str = "boot";

/// A caller whose credential held.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The member's name: a slot such as `edge-0`, or a content server's name.
    pub member: String,
}

/// Decides who a caller is. Errors are `UNAUTHENTICATED` with a sentence.
pub trait Authenticator: Send + Sync {
    /// Checks the first message of a call.
    fn authenticate<'a>(
        &'a self,
        hello: Option<&'a v1::Hello>,
    ) -> BoxFuture<'a, Result<Identity, Status>>;
}

/// The secret of one run; printed nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct RunSecret([u8; 32]);

/// A secret that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("run secret is not 64 hexadecimal digits")]
pub struct SecretError;

impl fmt::Debug for RunSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RunSecret(..)")
    }
}

impl RunSecret {
    /// From random bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// From 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Result<Self, SecretError> {
        let bytes = HEXLOWER
            .decode(text.trim().to_ascii_lowercase().as_bytes())
            .map_err(|_| SecretError)?;
        Ok(Self(bytes.try_into().map_err(|_| SecretError)?))
    }

    /// As 64 hexadecimal digits, for the environment of a child.
    pub fn to_hex(&self) -> String {
        HEXLOWER.encode(&self.0)
    }

    /// The first message of a call by `member`.
    pub fn hello(&self, member: &str, boot_id: &str) -> v1::Hello {
        v1::Hello {
            protocol_min: PROTOCOL,
            protocol_max: PROTOCOL,
            member_uid: member.to_owned(),
            boot_id: boot_id.to_owned(),
            scheme: RUN_SECRET.to_owned(),
            credential: format!("{member}.{}", self.mac(member)).into_bytes().into(),
            ..Default::default()
        }
    }

    fn mac(&self, member: &str) -> String {
        blake3::keyed_hash(&self.0, member.as_bytes())
            .to_hex()
            .to_string()
    }

    fn check(&self, hello: Option<&v1::Hello>) -> Result<Identity, Status> {
        let refuse = |why: &str| Err(Status::unauthenticated(why.to_owned()));
        let Some(hello) = hello else {
            return refuse("call began without Hello");
        };
        if hello.protocol_min > PROTOCOL || hello.protocol_max < PROTOCOL {
            return Err(Status::failed_precondition(format!(
                "protocol {}..{} is not spoken here; {PROTOCOL} is",
                hello.protocol_min, hello.protocol_max
            )));
        }
        if hello.scheme != RUN_SECRET {
            return Err(Status::unauthenticated(format!(
                "credential scheme {:?} is not accepted; {RUN_SECRET:?} is",
                hello.scheme
            )));
        }
        let Ok(credential) = std::str::from_utf8(&hello.credential) else {
            return refuse("credential is not text");
        };
        let Some((member, mac)) = credential.rsplit_once('.') else {
            return refuse("credential is not of the form name.mac");
        };
        // blake3::Hash compares in constant time.
        let expected = blake3::keyed_hash(&self.0, member.as_bytes());
        match blake3::Hash::from_hex(mac) {
            Ok(given) if given == expected => Ok(Identity {
                member: member.to_owned(),
            }),
            _ => Err(Status::unauthenticated(format!(
                "credential of {member:?} does not fit this run; every member of a run needs the same {RUN_SECRET_VARIABLE}"
            ))),
        }
    }
}

impl Authenticator for RunSecret {
    fn authenticate<'a>(
        &'a self,
        hello: Option<&'a v1::Hello>,
    ) -> BoxFuture<'a, Result<Identity, Status>> {
        Box::pin(std::future::ready(self.check(hello)))
    }
}

/// The projected token of this pod's service account. Tokens rotate, so the file is read for each call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAccount {
    file: PathBuf,
}

/// A token that cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// No such file, or no right to read it.
    #[error("service account token {path:?} cannot be read: {source}")]
    Read {
        /// Where it should be.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Nothing in it.
    #[error("service account token {path:?} is empty; a projected token is accepted")]
    Empty {
        /// Where it is.
        path: PathBuf,
    },
}

impl ServiceAccount {
    /// Of the file that holds the token.
    pub fn new(file: impl Into<PathBuf>) -> Self {
        Self { file: file.into() }
    }

    /// Where the token is.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The first message of a call by whoever holds the token now.
    pub fn hello(&self, boot_id: &str) -> Result<v1::Hello, TokenError> {
        let path = || self.file.clone();
        let text = std::fs::read_to_string(&self.file).map_err(|source| TokenError::Read {
            path: path(),
            source,
        })?;
        let token = text.trim();
        if token.is_empty() {
            return Err(TokenError::Empty { path: path() });
        }
        Ok(v1::Hello {
            protocol_min: PROTOCOL,
            protocol_max: PROTOCOL,
            boot_id: boot_id.to_owned(),
            scheme: SERVICE_ACCOUNT.to_owned(),
            credential: token.as_bytes().to_vec().into(),
            ..Default::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_anew_for_each_call_and_its_absence_is_one_sentence() {
        let folder = tempfile::tempdir().unwrap();
        let account = ServiceAccount::new(folder.path().join("token"));
        let error = account.hello("boot").unwrap_err().to_string();
        assert!(
            error.contains("token") && error.contains("cannot be read"),
            "{error}"
        );
        for token in ["first", "second"] {
            std::fs::write(account.file(), format!("{token}\n")).unwrap();
            let hello = account.hello("boot").unwrap();
            assert_eq!(
                (&*hello.scheme, &*hello.credential),
                (SERVICE_ACCOUNT, token.as_bytes())
            );
        }
        std::fs::write(account.file(), "\n").unwrap();
        assert!(
            account
                .hello("boot")
                .unwrap_err()
                .to_string()
                .contains("empty")
        );
    }

    fn secret(byte: u8) -> RunSecret {
        RunSecret::new([byte; 32])
    }

    #[test]
    fn a_member_is_known_by_its_credential_and_not_by_its_claim() {
        let mut hello = secret(1).hello("edge-0", "boot");
        hello.member_uid = "root-0".into();
        assert_eq!(secret(1).check(Some(&hello)).unwrap().member, "edge-0");
    }

    #[test]
    fn strangers_are_refused_with_a_sentence() {
        let good = secret(1).hello("edge-0", "boot");
        let forged = v1::Hello {
            credential: good.credential.clone().slice(1..),
            ..good.clone()
        };
        let other_scheme = v1::Hello {
            scheme: "service-account".into(),
            ..good.clone()
        };
        for (hello, part) in [
            (None, "without Hello"),
            (Some(secret(2).hello("edge-0", "b")), "BANYAN_RUN_SECRET"),
            (Some(forged), "\"dge-0\""),
            (Some(other_scheme), "service-account"),
        ] {
            let status = secret(1).check(hello.as_ref()).unwrap_err();
            assert_eq!(status.code(), tonic::Code::Unauthenticated);
            assert!(status.message().contains(part), "{status}");
        }
    }

    #[test]
    fn a_secret_survives_its_text_and_is_not_printed() {
        let hex = secret(7).to_hex();
        assert_eq!(RunSecret::from_hex(&hex).unwrap(), secret(7));
        assert!(RunSecret::from_hex("12").is_err());
        assert!(!format!("{:?}", secret(7)).contains("07"));
    }
}
