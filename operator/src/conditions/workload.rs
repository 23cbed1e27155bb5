//! What a Deployment and its pods say: how far they are, and what is wrong, in their own words.

use banyan_api::reasons;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

/// One tier's or server's pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workload {
    /// Name of the tier; of the ContentServer.
    pub name: String,
    /// Pods wanted.
    pub wanted: i32,
    /// Pods that are ready, by the Deployment's count.
    pub ready: i32,
    /// Pods that exist, old and new.
    pub replicas: i32,
    /// Not every pod is of the newest template yet, or there are too many or too few.
    pub rolling: bool,
    /// What is wrong, worst first.
    pub problems: Vec<Problem>,
}

/// Something that is wrong with pods.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// One of [`reasons`].
    pub reason: &'static str,
    /// What is wrong: the same as long as the trouble is.
    pub what: String,
    /// In the words of whoever noticed.
    pub words: String,
}

impl Workload {
    /// What `deployment` and its pods say. `name` is the tier's or server's, `deployment` is none before it is made.
    pub fn of<'a>(
        name: &str,
        wanted: i32,
        deployment: Option<&Deployment>,
        pods: impl IntoIterator<Item = &'a Pod>,
    ) -> Self {
        let mut workload = Self {
            name: name.to_owned(),
            wanted,
            rolling: true,
            ..Self::default()
        };
        let Some(deployment) = deployment else {
            return workload;
        };
        let status = deployment.status.clone().unwrap_or_default();
        let updated = status.updated_replicas.unwrap_or(0);
        workload.replicas = status.replicas.unwrap_or(0);
        workload.ready = status.ready_replicas.unwrap_or(0);
        workload.rolling = status.observed_generation < deployment.metadata.generation
            || updated < workload.replicas
            || workload.replicas > wanted;
        let mut problems: Vec<Problem> = pods
            .into_iter()
            .filter(|pod| pod.metadata.deletion_timestamp.is_none())
            .filter_map(|pod| of_pod(name, pod))
            .collect();
        let conditions = status.conditions.unwrap_or_default();
        problems.extend(conditions.iter().filter_map(|c| of_deployment(name, c)));
        // Many pods have one trouble: it is told once.
        problems.sort_by(|a, b| {
            let rank = |problem: &Problem| ORDER.iter().position(|r| *r == problem.reason);
            (rank(a), a).cmp(&(rank(b), b))
        });
        problems.dedup_by(|a, b| a.what == b.what);
        workload.problems = problems;
        workload
    }

    /// All pods are there, ready and of the newest template.
    pub fn complete(&self) -> bool {
        !self.rolling && self.ready >= self.wanted
    }
}

/// What explains most comes first.
const ORDER: [&str; 6] = [
    reasons::IMAGE_PULL_FAILED,
    reasons::CONTAINER_NOT_STARTED,
    reasons::UNSCHEDULABLE,
    reasons::PODS_REFUSED,
    reasons::CONTAINER_FAILING,
    reasons::PROGRESS_DEADLINE_EXCEEDED,
];

fn of_deployment(name: &str, condition: &DeploymentCondition) -> Option<Problem> {
    let words = condition.message.clone().unwrap_or_default();
    let problem = |reason, what: &str| Problem {
        reason,
        what: format!("{name}: {what}"),
        words: words.clone(),
    };
    match (
        condition.type_.as_str(),
        condition.status.as_str(),
        condition.reason.as_deref(),
    ) {
        ("ReplicaFailure", "True", _) => {
            Some(problem(reasons::PODS_REFUSED, "pods cannot be created"))
        }
        ("Progressing", "False", Some("ProgressDeadlineExceeded")) => Some(problem(
            reasons::PROGRESS_DEADLINE_EXCEEDED,
            "the roll makes no progress",
        )),
        _ => None,
    }
}

fn of_pod(name: &str, pod: &Pod) -> Option<Problem> {
    let status = pod.status.as_ref()?;
    let unscheduled = status.conditions.iter().flatten().find(|condition| {
        condition.type_ == "PodScheduled"
            && condition.status == "False"
            && condition.reason.as_deref() == Some("Unschedulable")
    });
    if let Some(condition) = unscheduled {
        return Some(Problem {
            reason: reasons::UNSCHEDULABLE,
            what: format!("{name}: a pod cannot be scheduled"),
            words: condition.message.clone().unwrap_or_default(),
        });
    }
    let init = status.init_container_statuses.iter().flatten();
    init.chain(status.container_statuses.iter().flatten())
        .find_map(|container| of_container(name, container))
}

fn of_container(name: &str, container: &ContainerStatus) -> Option<Problem> {
    let waiting = container.state.as_ref()?.waiting.as_ref();
    let reason = waiting.and_then(|waiting| waiting.reason.as_deref());
    let words = waiting.and_then(|waiting| waiting.message.clone());
    let (reason, what, words) = match reason {
        Some("ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull") => (
            reasons::IMAGE_PULL_FAILED,
            "cannot pull its image",
            words.unwrap_or_else(|| container.image.clone()),
        ),
        Some(
            reason @ ("CreateContainerConfigError" | "CreateContainerError" | "RunContainerError"),
        ) => (
            reasons::CONTAINER_NOT_STARTED,
            "cannot be started",
            words.unwrap_or_else(|| reason.to_owned()),
        ),
        // Between two attempts it waits, in an attempt it runs for a while: one trouble.
        _ if !container.ready => {
            let ended = container.last_state.as_ref()?.terminated.as_ref()?;
            let code = format!("it ended with code {}", ended.exit_code);
            let said = ended
                .message
                .as_deref()
                .map(str::trim)
                .filter(|said| !said.is_empty());
            let words =
                said.map_or_else(|| code.clone(), |said| format!("{code} and said {said:?}"));
            (reasons::CONTAINER_FAILING, "keeps ending", words)
        }
        _ => return None,
    };
    Some(Problem {
        reason,
        what: format!("{name}: container {:?} {what}", container.name),
        words,
    })
}
