//! What Services get and are refused, by the rules that an API server of two families showed.

use super::*;

fn settled(spec: Value, old: Option<&Value>) -> String {
    let mut spec = spec;
    if spec["selector"].is_null() {
        spec["selector"] = json!({"app": "a"});
    }
    match settle(&mut spec, old, true) {
        Ok(()) => format!(
            "{} {}",
            texts(&spec, "ipFamilies").join(","),
            spec["ipFamilyPolicy"].as_str().unwrap_or("-")
        ),
        Err(causes) => causes
            .iter()
            .map(|cause| format!("{}: {}", cause.field, cause.message))
            .collect::<Vec<_>>()
            .join("; "),
    }
}

#[test]
fn policy_families_and_addresses_complete_each_other() {
    let new = |spec: Value| settled(spec, None);
    assert_eq!(new(json!({})), "IPv4 SingleStack");
    assert_eq!(new(json!({"ipFamilies": ["IPv6"]})), "IPv6 SingleStack");
    assert_eq!(new(json!({"ipFamilyPolicy": "PreferDualStack"})), "IPv4,IPv6 PreferDualStack");
    assert_eq!(
        new(json!({"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv6"]})),
        "IPv6,IPv4 RequireDualStack"
    );
    assert_eq!(new(json!({"clusterIP": "fd00::7"})), "IPv6 SingleStack");
    assert_eq!(
        new(json!({"clusterIP": "fd00::7", "ipFamilyPolicy": "RequireDualStack"})),
        "IPv6,IPv4 RequireDualStack"
    );
    assert_eq!(new(json!({"clusterIP": "None", "selector": {}})), "IPv4,IPv6 RequireDualStack");
    assert_eq!(new(json!({"clusterIP": "None"})), "IPv4 SingleStack");
    assert!(new(json!({"ipFamilies": ["IPv4", "IPv6"]})).contains("when multiple IP families are specified"));
    assert!(new(json!({"clusterIP": "10.96.7.7", "ipFamilies": ["IPv6"]})).contains("spec.clusterIPs[0]: "));
    assert!(new(json!({"ipFamilies": ["IPv4", "IPv4"]})).contains("Duplicate"));
}

#[test]
fn an_update_adds_the_second_family_and_gives_it_up_by_the_policy_alone() {
    let single = json!({"selector": {"app": "a"}, "clusterIP": "10.96.7.7", "clusterIPs": ["10.96.7.7"], "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"});
    let mut wanted = single.clone();
    wanted["ipFamilyPolicy"] = json!("RequireDualStack");
    assert_eq!(settled(wanted, Some(&single)), "IPv4,IPv6 RequireDualStack");
    let mut dual = single.clone();
    dual["clusterIPs"] = json!(["10.96.7.7", "fd00::7"]);
    dual["ipFamilies"] = json!(["IPv4", "IPv6"]);
    dual["ipFamilyPolicy"] = json!("PreferDualStack");
    let mut wanted = dual.clone();
    wanted["ipFamilyPolicy"] = json!("SingleStack");
    assert_eq!(settled(wanted, Some(&dual)), "IPv4 SingleStack");
    let mut wanted = dual.clone();
    wanted["ipFamilies"] = json!(["IPv4"]);
    assert!(
        settled(wanted, Some(&dual)).contains("must be 'SingleStack' to release the secondary IP family")
    );
    let mut wanted = single.clone();
    wanted["clusterIP"] = json!("10.96.7.8");
    assert!(
        settled(wanted, Some(&single))
            .contains("spec.clusterIPs[0]: Invalid value: [\"10.96.7.8\"]: may not change once set")
    );
    // A cluster that got a second family leaves Services that prefer both as they are.
    let mut alone = single.clone();
    alone["ipFamilyPolicy"] = json!("PreferDualStack");
    assert_eq!(settled(alone.clone(), Some(&alone)), "IPv4 PreferDualStack");
}
