//! Label selectors as Kubernetes writes them.

use crate::SortedMap;

shape! {
    /// Conditions on labels, all of which must hold; an empty selector selects everything.
    #[derive(Eq)]
    pub struct LabelSelector {
        /// Labels that must have these values.
        pub match_labels: SortedMap<String, String>,
        /// Further conditions.
        pub match_expressions: Vec<LabelSelectorRequirement>,
    }

    /// A condition on one label.
    #[derive(Eq)]
    pub struct LabelSelectorRequirement {
        /// Name of the label.
        pub key: String,
        /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
        pub operator: String,
        /// Values for `In` and `NotIn`.
        pub values: Vec<String>,
    }
}
