//! How checks are tested: YAML in, `code object@line` out.

use crate::input::{Input, load};

/// What `check` finds in `yaml`: `IST0101 Kind namespace/name@line`, in order.
pub(crate) fn findings(check: &super::Check, yaml: &str) -> Vec<String> {
    let mut input = Input::default();
    let errors = load(&mut input, "test.yaml", yaml.to_owned(), "default");
    assert!(errors.is_empty(), "{errors:?}");
    let mut messages = check.run(&input);
    messages.sort_by(crate::message::Message::compare);
    messages
        .iter()
        .map(|message| {
            let line = input.location(message).map_or(0, |location| location.line);
            format!("{} {}@{line}", message.code.id(), message.object.origin())
        })
        .collect()
}

/// The texts of what `check` finds.
pub(crate) fn texts(check: &super::Check, yaml: &str) -> Vec<String> {
    let mut input = Input::default();
    load(&mut input, "test.yaml", yaml.to_owned(), "default");
    check.run(&input).into_iter().map(|message| message.text).collect()
}

/// The texts of what `check` finds in a mesh with this MeshConfig.
pub(crate) fn texts_with_mesh(check: &super::Check, mesh: &str, yaml: &str) -> Vec<String> {
    let mut input = Input::default();
    input.set_mesh_config(mesh).expect("a mesh configuration");
    load(&mut input, "test.yaml", yaml.to_owned(), "default");
    check.run(&input).into_iter().map(|message| message.text).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::checks::ALL;
    use crate::code::Code;

    /// Analyzers of Istio's that are written by hand, by the names that `--analyzer` takes.
    const HAND_WRITTEN: [&str; 36] = [
        "annotations.K8sAnalyzer",
        "applicationUID.Analyzer",
        "auth.AuthorizationPoliciesAnalyzer",
        "authn.BlockedCIDRsAnalyzer",
        "conditions.ConditionAnalyzer",
        "deployment.MultiServiceAnalyzer",
        "deprecation.DeprecationAnalyzer",
        "destinationrule.CaCertificateAnalyzer",
        "destinationrule.SubsetSelectPodAnalyzer",
        "envoyfilter.EnvoyPatchAnalyzer",
        "externalcontrolplane.ExternalControlPlaneAnalyzer",
        "gateway.CertificateAnalyzer",
        "gateway.ConflictingGatewayAnalyzer",
        "gateway.IngressGatewayPortAnalyzer",
        "gateway.SecretAnalyzer",
        "injection.Analyzer",
        "injection.ImageAnalyzer",
        "injection.ImageAutoAnalyzer",
        "k8sgateway.CRDVersionAnalyzer",
        "k8sgateway.SelectorAnalyzer",
        "meshnetworks.MeshNetworksAnalyzer",
        "service.PortNameAnalyzer",
        "serviceentry.Analyzer",
        "serviceentry.ConflictingServiceEntryProtocolAnalyzer",
        "services.MultiClusterServiceAnalyzer",
        "sidecar.SelectorAnalyzer",
        "telemetry.DefaultSelectorAnalyzer",
        "telemetry.LightstepAnalyzer",
        "telemetry.ProviderAnalyzer",
        "telemetry.SelectorAnalyzer",
        "virtualservice.ConflictingMeshGatewayHostsAnalyzer",
        "virtualservice.DestinationHostAnalyzer",
        "virtualservice.DestinationRuleAnalyzer",
        "virtualservice.GatewayAnalyzer",
        "virtualservice.JWTClaimRouteAnalyzer",
        "webhook.Analyzer",
    ];

    /// Codes that no analyzer reports: some come from `x precheck` alone, some from nothing in Istio either.
    const ELSEWHERE: [&str; 10] = [
        "IST0001", "IST0136", "IST0141", "IST0142", "IST0143", "IST0156", "IST0168", "IST0169", "IST0172",
        "SGN0100",
    ];

    #[test]
    fn every_analyzer_and_every_code_has_its_check() {
        let names: BTreeSet<&str> = ALL.iter().map(|check| check.name).collect();
        let missing: Vec<&&str> = HAND_WRITTEN.iter().filter(|name| !names.contains(**name)).collect();
        assert!(missing.is_empty(), "{missing:?}");
        let reported: BTreeSet<Code> = ALL.iter().flat_map(|check| check.codes.iter().copied()).collect();
        let silent = Code::ALL.iter().filter(|code| !reported.contains(code)).map(|code| code.id());
        let silent: Vec<&str> = silent.filter(|id| !ELSEWHERE.contains(id)).collect();
        assert!(silent.is_empty(), "{silent:?}");
    }
}
