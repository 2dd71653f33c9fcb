//! IST0101 and IST0161 for credentials: Secrets of Gateways that are not there, and such that hold no usable certificate.
//!
//! The Secret has to be in the namespace of the gateway's pods, or where `namespace/name` says. It holds `tls.crt` and `tls.key` or, in the
//! older form, `cert` and `key`, and the key has to be the certificate's.

use std::collections::BTreeSet;

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use sagene_api::Object;
use sagene_api::istio::networking::Gateway;
use sagene_api::kubernetes::Secret;
use serde_json::Value;

use super::support::gateways::{missing, workloads};
use super::support::pods::Pods;
use super::support::words::{not_found, refer};
use super::support::workloads::Others;
use super::{Check, Run};
use crate::code::Code;
use crate::input::{Input, at};
use crate::message::Message;
use crate::needs::makes_secrets;

pub(super) const CHECK: Check = Check {
    name: "gateway.SecretAnalyzer",
    description: "Gateways whose Secret is missing or holds no usable certificate",
    codes: &[Code::ReferencedResourceNotFound, Code::InvalidGatewayCredential],
    how: Run::Whole(run),
};

fn run(input: &Input) -> Vec<Message> {
    let (pods, others) = (Pods::of(input), Others::of(input));
    let mut messages = Vec::new();
    for gateway in input.snapshot.gateways.iter() {
        messages.extend(missing(input, &pods, &others, gateway));
        if !input.knows::<Secret>() {
            continue;
        }
        let mut places: BTreeSet<&str> =
            workloads(&pods, gateway).iter().map(|pod| pod.metadata.namespace.as_str()).collect();
        let places_are_known = !places.is_empty();
        if !places_are_known {
            places.extend([gateway.metadata.namespace.as_str(), &input.mesh.root_namespace]);
        }
        for (index, server) in gateway.spec.servers.iter().enumerate() {
            let Some(tls) = &server.tls else { continue };
            if !tls.credential_name.is_empty() {
                let path = format!("spec.servers[{index}].tls.credentialName");
                messages.extend(of_credential(input, gateway, &places, &tls.credential_name, &path));
            }
            for (position, name) in tls.credential_names.iter().enumerate() {
                let path = format!("spec.servers[{index}].tls.credentialNames[{position}]");
                messages.extend(of_credential(input, gateway, &places, name, &path));
            }
        }
    }
    messages
}

fn of_credential(
    input: &Input,
    gateway: &Object<Gateway>,
    places: &BTreeSet<&str>,
    name: &str,
    path: &str,
) -> Option<Message> {
    let of_cluster = name.strip_prefix("kubernetes://").unwrap_or(name);
    // Names with another scheme are served by somebody else.
    if of_cluster.contains("://") {
        return None;
    }
    let (places, own) = match of_cluster.split_once('/') {
        Some((place, own)) => (&BTreeSet::from([place]), own),
        None => (places, of_cluster),
    };
    let Some(secret) = places.iter().find_map(|place| input.snapshot.get::<Secret>(place, own)) else {
        let is_missing = !places.iter().any(|place| will_be_made(input, place, own));
        return is_missing.then(|| not_found(gateway, "credentialName", name, at(path)));
    };
    if is_usable(secret) {
        return None;
    }
    let text = format!(
        "The credential referenced by the Gateway {} in namespace {} is invalid, which can cause the traffic not to work as expected.",
        gateway.metadata.name, gateway.metadata.namespace
    );
    Some(Message::new(Code::InvalidGatewayCredential, refer(gateway), text).at(at(path)))
}

/// True where something in the files makes a Secret of this name: a Certificate of cert-manager, an ExternalSecret or a SealedSecret.
fn will_be_made(input: &Input, place: &str, name: &str) -> bool {
    let in_files = input.untyped.iter().filter(|(object, _)| object.namespace == place);
    in_files.filter(|(object, _)| makes_secrets(&object.kind)).any(|(object, value)| {
        let path = match &*object.kind {
            "Certificate" => "/spec/secretName",
            "ExternalSecret" => "/spec/target/name",
            _ => "/spec/template/metadata/name",
        };
        value.pointer(path).and_then(Value::as_str).unwrap_or(&object.name) == name
    })
}

/// True where a Secret holds a certificate that can be read and has not expired, and the key that belongs to it, both in PEM.
fn is_usable(secret: &Object<Secret>) -> bool {
    let data = |key: &str| {
        let written = secret.spec.string_data.get(key).map(|text| text.as_bytes().to_vec());
        written.or_else(|| secret.spec.data.get(key).map(|bytes| bytes.0.clone()))
    };
    let pair = |certificate: &str, private: &str| Some((data(certificate)?, data(private)?));
    let Some((certificate, private)) = pair("tls.crt", "tls.key").or_else(|| pair("cert", "key")) else {
        return false;
    };
    let first = x509_parser::pem::Pem::iter_from_buffer(&certificate).next();
    first.and_then(Result::ok).is_some_and(|block| {
        block.parse_x509().is_ok_and(|parsed| {
            let now = jiff::Timestamp::now().as_second();
            parsed.validity().not_after.timestamp() > now
                && is_key_of(&private, &parsed.public_key().subject_public_key.data)
        })
    })
}

/// True where the first private key of a PEM file is one that proxies can use, and this is its public half.
fn is_key_of(pem: &[u8], public: &[u8]) -> bool {
    let key = PrivateKeyDer::from_pem_slice(pem).ok().and_then(|private| any_supported_type(&private).ok());
    // What identifies the algorithm stands before the key itself, and has several forms.
    key.is_some_and(|key| key.public_key().is_some_and(|own| own.as_ref().ends_with(public)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{findings, texts};
    use super::*;

    const HEAD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: infra, labels: {istio: edge}}\n---\n\
        apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: g, namespace: shop}\nspec:\n  selector: {istio: edge}\n  servers:\n  - port: {number: 443, name: https, protocol: HTTPS}\n    hosts: [a.com]\n    tls:\n      mode: SIMPLE\n      credentialName: c\n---\n";

    fn secret(namespace: &str, certificate: &str, key: &str) -> String {
        let indent = |text: &str| text.trim_end().replace('\n', "\n    ");
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: c, namespace: {namespace}}}\nstringData:\n  tls.crt: |\n    {}\n  tls.key: |\n    {}\n",
            indent(certificate),
            indent(key)
        )
    }

    fn pair(expires_in_hours: i64) -> (String, String) {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut parameters = rcgen::CertificateParams::new(vec!["a.com".to_owned()]).expect("parameters");
        let now = std::time::SystemTime::now();
        let hours = std::time::Duration::from_secs(3600 * expires_in_hours.unsigned_abs());
        let end = if expires_in_hours < 0 { now - hours } else { now + hours };
        parameters.not_before = (now - std::time::Duration::from_secs(1_000_000)).into();
        parameters.not_after = end.into();
        (parameters.self_signed(&key).expect("a certificate").pem(), key.serialize_pem())
    }

    #[test]
    fn secrets_that_are_missing_or_of_no_use() {
        let (certificate, key) = pair(24);
        assert_eq!(texts(&CHECK, HEAD), ["Referenced credentialName not found: \"c\""]);
        assert_eq!(findings(&CHECK, HEAD), ["IST0101 Gateway shop/g@15"]);
        // It has to be where the pods are, not where the Gateway is.
        assert_eq!(findings(&CHECK, &(HEAD.to_owned() + &secret("shop", &certificate, &key))).len(), 1);
        assert!(findings(&CHECK, &(HEAD.to_owned() + &secret("infra", &certificate, &key))).is_empty());
        let expired = pair(-24);
        for (certificate, key) in [
            ("rubbish", key.as_str()),
            (&certificate, "rubbish"),
            (&certificate, &expired.1),
            (&expired.0, &expired.1),
        ] {
            let yaml = HEAD.to_owned() + &secret("infra", certificate, key);
            assert_eq!(findings(&CHECK, &yaml), ["IST0161 Gateway shop/g@15"]);
        }
        let of_other = HEAD.replace("credentialName: c", "credentialName: shop/c");
        assert!(findings(&CHECK, &(of_other.clone() + &secret("shop", &certificate, &key))).is_empty());
        assert_eq!(findings(&CHECK, &(of_other + &secret("infra", &certificate, &key))).len(), 1);
    }

    #[test]
    fn what_makes_the_secret_stands_for_it() {
        let (certificate, key) = pair(24);
        let other = secret("infra", &certificate, &key).replace("name: c,", "name: other,");
        let with = |maker: &str| findings(&CHECK, &format!("{HEAD}{other}---\n{maker}\n"));
        let of_cert_manager = "apiVersion: cert-manager.io/v1\nkind: Certificate\nmetadata: {name: x, namespace: infra}\nspec: {secretName: c}";
        for maker in [
            of_cert_manager,
            "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {name: c, namespace: infra}\nspec: {}",
            "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {name: x, namespace: infra}\nspec: {target: {name: c}}",
            "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {name: c, namespace: infra}\nspec: {encryptedData: {}}",
        ] {
            assert!(with(maker).is_empty(), "{maker}");
        }
        for other in [
            of_cert_manager.replace("infra", "shop"),
            of_cert_manager.replace("secretName: c", "secretName: d"),
        ] {
            assert_eq!(with(&other), ["IST0101 Gateway shop/g@15"], "{other}");
        }
    }
}
