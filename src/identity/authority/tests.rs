//! The authority by what TLS peers make of its certificates.

use std::sync::Arc;

use rustls::{
    ClientConfig, ClientConnection, ServerConfig, ServerConnection,
    pki_types::{PrivateKeyDer, ServerName},
    server::WebPkiClientVerifier,
};

use super::*;
use crate::{peer, request::CertificateRequest};

const REVIEWS: &str = "spiffe://cluster.local/ns/shop/sa/reviews";

fn authority() -> CertificateAuthority {
    let material = self_signed("cluster.local", ROOT_TTL).unwrap();
    CertificateAuthority::new(material, Lifetimes::default()).unwrap()
}

fn chain(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).map(Result::unwrap).collect()
}

fn key(pem: &str) -> PrivateKeyDer<'static> {
    PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap()
}

/// A handshake in memory; the client certificate as the server saw it.
fn handshake(client: ClientConfig, server: ServerConfig) -> Result<CertificateDer<'static>, rustls::Error> {
    let name = ServerName::try_from("istiod.istio-system.svc").unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name)?;
    let mut server = ServerConnection::new(Arc::new(server))?;
    let mut wire = Vec::new();
    while client.is_handshaking() || server.is_handshaking() {
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut wire.as_slice()).unwrap();
        wire.clear();
        server.process_new_packets()?;
        server.write_tls(&mut wire).unwrap();
        client.read_tls(&mut wire.as_slice()).unwrap();
        wire.clear();
        client.process_new_packets()?;
    }
    Ok(server.peer_certificates().unwrap()[0].clone().into_owned())
}

#[test]
fn a_workload_and_the_control_plane_trust_each_other_by_the_root() {
    let authority = authority();
    let roots = root_store(authority.root()).unwrap();
    let dns = ["istiod.istio-system.svc".to_owned()];
    let own =
        authority.issue_server(&dns, "spiffe://cluster.local/ns/istio-system/sa/istiod", ROOT_TTL).unwrap();
    let request = CertificateRequest::generate("spiffe://cluster.local/ns/evil/sa/admin").unwrap();
    let answer = authority.sign(&request.csr_pem, &[REVIEWS.to_owned()], None).unwrap();
    assert_eq!(answer.len(), 1, "a self-signed root is served to nobody");
    let provider = sagene_base::crypto::provider();
    let verifier =
        WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone()).build().unwrap();
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain(&own.chain), key(&own.key))
        .unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(chain(&answer[0]), key(&request.key_pem))
        .unwrap();
    let seen = handshake(client, server).unwrap();
    // The identity is the authenticated caller's, whatever the request said.
    assert_eq!(peer::identity_of(&seen).unwrap().to_string(), REVIEWS);
    let (_, leaf) = x509_parser::parse_x509_certificate(&seen).unwrap();
    assert!(leaf.subject_alternative_name().unwrap().unwrap().critical);
    let life = leaf.validity().not_after.timestamp() - leaf.validity().not_before.timestamp();
    assert_eq!(life, 24 * 60 * 60 + 120);
}

#[test]
fn a_request_with_a_wrong_signature_or_too_long_a_life_gets_nothing() {
    let authority = authority();
    let request = CertificateRequest::generate(REVIEWS).unwrap();
    let names = [REVIEWS.to_owned()];
    let long = Some(Duration::from_secs(91 * 24 * 60 * 60));
    assert!(matches!(authority.sign(&request.csr_pem, &names, long), Err(AuthorityError::Lifetime { .. })));
    assert!(matches!(authority.sign("no request", &names, None), Err(AuthorityError::Request(_))));
    let other = CertificateRequest::generate(REVIEWS).unwrap();
    let spliced: Vec<&str> = request.csr_pem.lines().take(3).chain(other.csr_pem.lines().skip(3)).collect();
    assert!(authority.sign(&spliced.join("\n"), &names, None).is_err());
}

#[test]
fn no_leaf_outlives_its_authority_and_the_material_survives_its_secret() {
    let material = self_signed("cluster.local", Duration::from_secs(60)).unwrap();
    let reread = AuthorityMaterial::from_entries(&material.to_entries()).unwrap();
    assert_eq!(reread, material);
    let authority = CertificateAuthority::new(reread, Lifetimes::default()).unwrap();
    let own = authority.issue_server(&["a".to_owned()], REVIEWS, ROOT_TTL).unwrap();
    assert!(own.not_after <= authority.not_after());
    let stranger = self_signed("cluster.local", ROOT_TTL).unwrap();
    let mixed = AuthorityMaterial { key: stranger.key, ..material };
    assert!(matches!(
        CertificateAuthority::new(mixed, Lifetimes::default()),
        Err(AuthorityError::KeyMismatch)
    ));
}
