//! What an API server's refusal means, in a sentence and in a reason.

use std::error::Error as _;

use banyan_api::reasons;

/// Why an object was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Leadership ended in between.
    #[error("this process does not lead any longer")]
    NotLeading,
    /// The name is taken.
    #[error(
        "{kind} {name:?} exists and belongs to {holder}; delete or rename it, or rename this object"
    )]
    NameConflict {
        /// Of the child.
        kind: String,
        /// Of the child.
        name: String,
        /// Whose it is.
        holder: String,
    },
    /// A permission is missing.
    #[error("not allowed to {verb} {kind} {name:?}: {message}")]
    Forbidden {
        /// What was tried.
        verb: &'static str,
        /// Of the object.
        kind: String,
        /// Of the object.
        name: String,
        /// What the API server said; it names the resource.
        message: String,
    },
    /// A quota is used up, or an admission rule says no.
    #[error("{kind} {name:?} was refused: {message}")]
    Refused {
        /// Of the object.
        kind: String,
        /// Of the object.
        name: String,
        /// What the API server said.
        message: String,
    },
    /// A pod template that the API server does not take.
    #[error("the pod template of {kind} {name:?} was refused: {message}")]
    Template {
        /// Of the object.
        kind: String,
        /// Of the object.
        name: String,
        /// What the API server said.
        message: String,
    },
    /// Anything else; it is tried again.
    #[error("{verb} {kind} {name:?} failed: {message}")]
    Failed {
        /// What was tried.
        verb: &'static str,
        /// Of the object.
        kind: String,
        /// Of the object.
        name: String,
        /// What went wrong.
        message: String,
    },
}

impl Error {
    /// What a failed request to write an object means.
    pub fn of(verb: &'static str, kind: &str, name: &str, error: &kube::Error) -> Self {
        let (kind, name, message) = (kind.to_owned(), name.to_owned(), sentence(error));
        let code = match error {
            kube::Error::Api(status) => status.code,
            _ => 0,
        };
        match code {
            // Quotas and admission rules answer with the same code as missing permissions.
            403 if message.contains("cannot ") => Self::Forbidden {
                verb,
                kind,
                name,
                message,
            },
            400 | 403 | 422 => Self::Refused {
                kind,
                name,
                message,
            },
            _ => Self::Failed {
                verb,
                kind,
                name,
                message,
            },
        }
    }

    /// The fixed label of conditions, events, metrics and logs.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotLeading => "NotLeading",
            Self::NameConflict { .. } => reasons::NAME_CONFLICT,
            Self::Forbidden { .. } => reasons::FORBIDDEN,
            Self::Template { .. } => reasons::INVALID_TEMPLATE,
            Self::Refused { .. } | Self::Failed { .. } => reasons::APPLY_FAILED,
        }
    }
}

/// One sentence about a failed request.
pub fn sentence(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => {
            let mut text = other.to_string();
            let mut source = other.source();
            while let Some(cause) = source {
                let cause_text = cause.to_string();
                if !text.contains(&cause_text) {
                    text = format!("{text}: {cause_text}");
                }
                source = cause.source();
            }
            text
        }
    }
}
