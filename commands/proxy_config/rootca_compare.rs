//! `proxy-config rootca-compare`: whether two pods trust the same root.

use std::collections::HashSet;

use clap::Args;
use x509_parser::pem::Pem;

use super::Ask;
use super::dump::{field, list, path, text};
use super::secret::pem;
use super::source::DumpTarget;
use crate::exit::{Exit, Failure, Outcome};
use crate::output;

#[derive(Debug, Clone, Args)]
pub(super) struct RootCaCompare {
    /// First pod
    #[arg(value_name = "POD-1[.NAMESPACE-1]")]
    first: String,
    /// Second pod
    #[arg(value_name = "POD-2[.NAMESPACE-2]")]
    second: String,
}

impl RootCaCompare {
    pub(super) async fn run(self, ask: &Ask<'_>) -> Outcome {
        let first = roots(ask, &self.first).await?;
        let second = roots(ask, &self.second).await?;
        if first.is_disjoint(&second) {
            return Err(Failure::new(format!(
                "Both [{}] and [{}] have the non identical ROOTCA, theoretically the connectivity between them is not available",
                self.first, self.second
            )));
        }
        output::progress(&format!(
            "Both [{}] and [{}] have the identical ROOTCA, theoretically the connectivity between them is available",
            self.first, self.second
        ));
        Ok(Exit::Success)
    }
}

/// The certificates of the secret `ROOTCA`, in DER.
async fn roots(ask: &Ask<'_>, name: &str) -> Result<HashSet<Vec<u8>>, Failure> {
    let target = DumpTarget { name: Some(name.to_owned()), file: None };
    let dump = target.dump(ask, "?mask=dynamic_active_secrets,dynamic_warming_secrets").await?;
    let mut entries: Vec<_> = dump.entries("SecretsConfigDump.DynamicSecret").collect();
    for section in dump.sections("SecretsConfigDump") {
        entries.extend(list(section, "dynamicActiveSecrets"));
    }
    let bundle = entries
        .into_iter()
        .filter(|entry| text(entry, &["name"]) == "ROOTCA")
        .find_map(|entry| path(field(entry, "secret")?, &["validationContext", "trustedCa"]).and_then(pem))
        .ok_or_else(|| Failure::new(format!("no ROOTCA found in {name}")))?;
    Ok(Pem::iter_from_buffer(&bundle).filter_map(Result::ok).map(|pem| pem.contents).collect())
}
