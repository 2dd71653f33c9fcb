//! What the shapes mean: hosts, selectors, services, endpoints, routes, policies, SPIFFE identities.
//!
//! Pure and total: no tokio, kube or tonic. The only host, route and policy matcher, so that analyze, the console, the control
//! plane and the proxy cannot disagree.
