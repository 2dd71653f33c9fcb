//! `kubectl autoscale`: a HorizontalPodAutoscaler for a workload.

use clap::Args;
use serde_json::{Value, json};

use super::create::Making;
use super::session::{Session, error};
use super::target::{self, Found, Selection};
use crate::exit::{Exit, Failure, Outcome};
use crate::kubernetes::{Resource, text};

#[derive(Debug, Args)]
pub(super) struct Autoscale {
    /// Type/name, or type and name, of a workload
    #[arg(value_name = "TYPE[/NAME] NAME")]
    arguments: Vec<String>,
    /// Manifests that name the workloads
    #[arg(short, long = "filename", value_name = "FILE")]
    filename: Vec<String>,
    /// The least number of pods; default the server's
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true, default_value_t = -1)]
    min: i64,
    /// The largest number of pods
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    max: i64,
    /// Average use of the CPU to aim at, in percent of what the pods request
    #[arg(long, value_name = "PERCENT", allow_negative_numbers = true, default_value_t = -1)]
    cpu_percent: i64,
    /// Name of the autoscaler; default that of the workload
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    making: Making,
}

impl Autoscale {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        self.check()?;
        let kind =
            Resource::known("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", true);
        let selection = Selection { filename: self.filename.clone(), ..Selection::default() };
        for found in target::find(session, &self.arguments, &selection, false).await? {
            if !found.resource.scalable {
                let what = found.resource.qualified();
                return Err(error(format!("cannot autoscale a {what}: it has no scale subresource")));
            }
            self.making.create(session, &kind, self.autoscaler(&found), "autoscaled").await?;
        }
        Ok(Exit::Success)
    }

    fn check(&self) -> Result<(), Failure> {
        if self.max < 1 {
            let max = self.max;
            return Err(error(format!("--max=MAXPODS is required and must be at least 1, max: {max}")));
        }
        if self.max < self.min {
            let (max, min) = (self.max, self.min);
            let told =
                format!("--max=MAXPODS must be larger or equal to --min=MINPODS, max: {max}, min: {min}");
            return Err(error(told));
        }
        Ok(())
    }

    fn autoscaler(&self, found: &Found) -> Value {
        let object = &found.object;
        let mut spec = json!({
            "scaleTargetRef": {
                "apiVersion": text(object, "/apiVersion"),
                "kind": found.resource.kind,
                "name": found.name(),
            },
            "maxReplicas": self.max,
        });
        if self.min > 0 {
            spec["minReplicas"] = json!(self.min);
        }
        if self.cpu_percent >= 0 {
            let target = json!({"type": "Utilization", "averageUtilization": self.cpu_percent});
            spec["metrics"] = json!([{"type": "Resource", "resource": {"name": "cpu", "target": target}}]);
        }
        json!({
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": self.name.as_deref().unwrap_or(found.name())},
            "spec": spec,
        })
    }
}
