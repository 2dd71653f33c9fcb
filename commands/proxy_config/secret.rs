//! `proxy-config secret`: certificates with their validity.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::{Value, json};
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;

use super::Ask;
use super::dump::{Dump, field, list, path, text};
use super::source::DumpTarget;
use crate::exit::{Failure, Outcome};
use crate::output::Table;

#[derive(Debug, Clone, Args)]
pub(super) struct Secret {
    #[command(flatten)]
    target: DumpTarget,
}

impl Secret {
    pub(super) async fn run(self, ask: &Ask<'_>) -> Outcome {
        let dump = self.target.dump(ask, "?mask=dynamic_active_secrets,dynamic_warming_secrets").await?;
        ask.print(|| table(&dump).map(|table| table.render()), &whole(&dump))
    }
}

/// The section of the dump, put together again where a mask took it apart.
fn whole(dump: &Dump) -> Value {
    if let Some(section) = dump.sections("SecretsConfigDump").next() {
        return section.clone();
    }
    let entries: Vec<&Value> = dump.entries("SecretsConfigDump.DynamicSecret").collect();
    json!({"@type": "type.googleapis.com/envoy.admin.v3.SecretsConfigDump", "dynamicActiveSecrets": entries})
}

/// One certificate of a proxy.
struct Row {
    name: String,
    kind: &'static str,
    status: &'static str,
    certificate: Option<Certificate>,
}

/// What the table shows of a certificate.
struct Certificate {
    valid: bool,
    serial: String,
    not_before: String,
    not_after: String,
    trust_domain: Option<String>,
}

/// The short view.
pub(super) fn table(dump: &Dump) -> Result<Table, Failure> {
    let section = whole(dump);
    let mut rows = Vec::new();
    for (entries, status) in [("dynamicActiveSecrets", "ACTIVE"), ("dynamicWarmingSecrets", "WARMING")] {
        for entry in list(&section, entries) {
            rows.push(row(entry, status));
        }
    }
    if rows.is_empty() {
        return Err(Failure::new("no secrets found"));
    }
    let domains = rows.iter().all(|row| row.certificate.as_ref().is_some_and(|it| it.trust_domain.is_some()));
    let mut header =
        vec!["RESOURCE NAME", "TYPE", "STATUS", "VALID CERT", "SERIAL NUMBER", "NOT AFTER", "NOT BEFORE"];
    if domains {
        header.push("TRUST DOMAIN");
    }
    let mut table = Table::new(header, 5);
    for row in rows {
        let mut cells = vec![row.name, row.kind.to_owned(), row.status.to_owned()];
        match row.certificate {
            Some(certificate) => {
                cells.extend([
                    certificate.valid.to_string(),
                    certificate.serial,
                    certificate.not_after,
                    certificate.not_before,
                ]);
                if domains {
                    cells.extend(certificate.trust_domain);
                }
            }
            None => cells.push("false".to_owned()),
        }
        table.row(cells);
    }
    Ok(table)
}

fn row(entry: &Value, status: &'static str) -> Row {
    let secret = field(entry, "secret").unwrap_or(&Value::Null);
    let (kind, chain) = match path(secret, &["tlsCertificate", "certificateChain"]) {
        Some(chain) => ("Cert Chain", Some(chain)),
        None => {
            let direct = path(secret, &["validationContext", "trustedCa"]);
            let combined = ["combinedValidationContext", "defaultValidationContext", "trustedCa"];
            ("CA", direct.or_else(|| path(secret, &combined)))
        }
    };
    let name = match text(entry, &["name"]) {
        "" => text(secret, &["name"]),
        name => name,
    };
    Row {
        name: name.to_owned(),
        kind,
        status,
        certificate: chain.and_then(pem).and_then(|pem| certificate(&pem)),
    }
}

/// A data source that carries its content.
pub(super) fn pem(source: &Value) -> Option<Vec<u8>> {
    if let Some(inline) = field(source, "inlineString").and_then(Value::as_str) {
        return Some(inline.as_bytes().to_vec());
    }
    STANDARD.decode(field(source, "inlineBytes")?.as_str()?).ok()
}

/// The first certificate of a PEM text.
fn certificate(pem: &[u8]) -> Option<Certificate> {
    let first = Pem::iter_from_buffer(pem).next()?.ok()?;
    let parsed = first.parse_x509().ok()?;
    let time = |time: &x509_parser::time::ASN1Time| {
        jiff::Timestamp::from_second(time.timestamp())
            .map(|time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
            .unwrap_or_default()
    };
    let names = parsed.subject_alternative_name().ok().flatten().map(|it| it.value.general_names.clone());
    let trust_domain = names.into_iter().flatten().find_map(|name| match name {
        GeneralName::URI(uri) => uri.strip_prefix("spiffe://")?.split('/').next().map(str::to_owned),
        _ => None,
    });
    let serial = parsed.serial.to_str_radix(16);
    Some(Certificate {
        valid: parsed.validity().is_valid(),
        serial: format!("{serial:0>32}"),
        not_before: time(&parsed.validity().not_before),
        not_after: time(&parsed.validity().not_after),
        trust_domain,
    })
}
