//! Deployment: a set of equal pods.

use super::pod::Pod;
use super::selector::LabelSelector;
use crate::object::ObjectMeta;

shape! {
    /// What is wanted.
    pub struct Deployment {
        /// Number of pods; absent means 1.
        pub replicas: Option<i32>,
        /// Labels of its pods.
        pub selector: LabelSelector,
        /// What its pods look like.
        pub template: PodTemplate,
    }

    /// What pods look like.
    pub struct PodTemplate {
        /// Labels and annotations.
        pub metadata: ObjectMeta,
        /// The pod.
        pub spec: Pod,
    }

    /// What was observed.
    #[derive(Eq)]
    pub struct DeploymentStatus {
        /// The generation the numbers are about.
        pub observed_generation: i64,
        /// Pods.
        pub replicas: i32,
        /// Pods of the current template.
        pub updated_replicas: i32,
        /// Pods that are ready.
        pub ready_replicas: i32,
        /// Pods that have been ready for long enough.
        pub available_replicas: i32,
    }
}

resource!(Deployment, "apps", "Deployment", "deployments", true, ["v1"], status = DeploymentStatus);
