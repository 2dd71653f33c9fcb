//! `workload group create`: a WorkloadGroup from flags, printed. No cluster is asked.

use clap::Args;
use sagene_api::Object;
use sagene_api::istio::networking::WorkloadGroup;

use super::pair;
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::output;
use crate::validate;

#[derive(Debug, Args)]
pub(super) struct Create {
    /// Name of the group; required, as is --namespace
    #[arg(long, value_name = "NAME", default_value = "")]
    name: String,
    /// Labels of every member
    #[arg(short, long, value_name = "NAME=VALUE", value_delimiter = ',', value_parser = pair::of_texts)]
    labels: Vec<(String, String)>,
    /// Annotations of every member
    #[arg(short, long, value_name = "NAME=VALUE", value_delimiter = ',', value_parser = pair::of_texts)]
    annotations: Vec<(String, String)>,
    /// Ports of every member by the names that the Service's ports have
    #[arg(short, long, value_name = "NAME=NUMBER", value_delimiter = ',', value_parser = pair::of_port)]
    ports: Vec<(String, u32)>,
    /// Service account whose identity the members have
    #[arg(short = 's', long = "serviceAccount", value_name = "NAME", default_value = "default")]
    service_account: String,
    /// Network that the members are on
    #[arg(long, value_name = "NAME", default_value = "")]
    network: String,
    /// Where the members are
    #[arg(long, value_name = "REGION/ZONE/SUBZONE", default_value = "")]
    locality: String,
    /// Share of each member among the endpoints of its locality; 0 is the same as 1
    #[arg(short, long, value_name = "NUMBER", default_value_t = 0)]
    weight: u32,
}

impl Create {
    pub(super) fn run(self, context: &Context) -> Outcome {
        let namespace = context.globals.namespace.clone().unwrap_or_default();
        if self.name.is_empty() {
            return Err(Failure::new("expecting a workload name").hint("--name NAME"));
        }
        if namespace.is_empty() {
            return Err(Failure::new("expecting a workload namespace").hint("--namespace NAME"));
        }
        let text = sagene_api::yaml::to_text(&self.group(&namespace).to_value())?;
        validate::refuse_errors("the group", text.clone().into_bytes())?;
        output::data(&text);
        Ok(Exit::Success)
    }

    fn group(self, namespace: &str) -> Object<WorkloadGroup> {
        let mut spec = WorkloadGroup::default();
        if !self.labels.is_empty() || !self.annotations.is_empty() {
            let metadata = spec.metadata.get_or_insert_default();
            metadata.labels = self.labels.into_iter().collect();
            metadata.annotations = self.annotations.into_iter().collect();
        }
        let template = &mut spec.template;
        template.ports = self.ports.into_iter().collect();
        template.service_account = self.service_account;
        template.network = self.network;
        template.locality = self.locality;
        template.weight = self.weight;
        Object::new(namespace, &self.name, spec)
    }
}
