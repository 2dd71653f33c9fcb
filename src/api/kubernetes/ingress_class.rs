//! IngressClass: who serves the Ingresses of a class.

shape! {
    /// Who serves the Ingresses of a class.
    #[derive(Eq)]
    pub struct IngressClass {
        /// The controller, such as `istio.io/ingress-controller`.
        pub controller: String,
    }
}

resource!(IngressClass, "networking.k8s.io", "IngressClass", "ingressclasses", false, ["v1"]);
