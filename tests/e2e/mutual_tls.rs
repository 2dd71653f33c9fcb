//! STRICT mutual TLS: who has no certificate of the mesh is not let in.

use crate::mesh::{Mesh, Rights};

#[test]
fn strict_refuses_who_is_outside_of_the_mesh() {
    let Some(mesh) = Mesh::install("mutual_tls::strict_refuses_who_is_outside_of_the_mesh", Rights::Root)
    else {
        return;
    };
    mesh.open_shop();
    mesh.apply("client.yaml");
    mesh.wait_for_pods("default", 7);
    let ask = || {
        let curl = [
            "curl",
            "-s",
            "-m",
            "10",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "http://details:9080/details/0",
        ];
        mesh.run(&[&["kubectl", "exec", "deploy/outsider", "--"], &curl[..]].concat())
    };
    let permitted = ask();
    assert_eq!((permitted.code, permitted.stdout.as_str()), (0, "200"), "{permitted:?}");

    mesh.apply("strict.yaml");
    mesh.until("plain text is refused", || ask().code != 0);
    for _ in 0..20 {
        let page = mesh.get("/productpage").expect("answer");
        assert_eq!(page.status, 200, "meshed traffic goes on: {page:?}");
        assert!(page.body.contains("Book Details"), "{page:?}");
        assert_ne!(ask().code, 0, "refused once is refused always");
    }

    mesh.succeed(&["kubectl", "-n", "istio-system", "delete", "peerauthentication", "default"]);
    mesh.until("plain text is let in again", || ask().code == 0);
}
