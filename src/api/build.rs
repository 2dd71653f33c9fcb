//! Compiles the descriptors of Envoy's configuration messages, from the `.proto` files that the envoy-types crate ships
//! and Istio's few of our own in `proto/`, into the tables that `envoy::reflect` reads.

#[path = "build/tables.rs"]
mod tables;

use std::collections::BTreeSet;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use prost::Message;
use protox::Compiler;
use protox::prost_reflect::prost_types::FileDescriptorSet;

/// Folders of Envoy's API whose messages can be shown and read.
const ENVOY: [&str; 23] = [
    "envoy/admin/v3",
    "envoy/config",
    "envoy/data/accesslog/v3",
    "envoy/extensions/access_loggers",
    "envoy/extensions/clusters",
    "envoy/extensions/common",
    "envoy/extensions/compression",
    "envoy/extensions/filters/common",
    "envoy/extensions/filters/http",
    "envoy/extensions/filters/listener",
    "envoy/extensions/filters/network",
    "envoy/extensions/formatter",
    "envoy/extensions/http",
    "envoy/extensions/internal_redirect",
    "envoy/extensions/load_balancing_policies",
    "envoy/extensions/network",
    "envoy/extensions/path",
    "envoy/extensions/request_id",
    "envoy/extensions/retry",
    "envoy/extensions/transport_sockets",
    "envoy/extensions/upstreams",
    "envoy/service",
    "envoy/type",
];
/// Parts of them that no mesh uses.
const LEFT_OUT: [&str; 16] = [
    // Its relative names cannot be resolved by protox.
    "clusters/dynamic_forward_proxy",
    "file_server",
    "/tap/",
    "redis_proxy",
    "dubbo_proxy",
    "thrift_proxy",
    "generic_proxy",
    "dynamic_modules",
    "reverse_tunnel",
    "/mcp",
    "/a2a",
    "/ai",
    "zookeeper_proxy",
    "grpc_field_extraction",
    "proto_",
    "aws_",
];
/// Files whose relative names (`common.…`) mean something else once all files are seen together; each is compiled with
/// its own imports alone.
const APART: [&str; 7] = [
    "envoy/extensions/clusters/common/",
    "envoy/extensions/clusters/dns/",
    "envoy/extensions/filters/http/dynamic_forward_proxy/",
    "envoy/extensions/filters/http/file_system_buffer/",
    "envoy/extensions/filters/http/local_ratelimit/",
    "envoy/extensions/filters/network/ratelimit/",
    "envoy/extensions/filters/network/sni_dynamic_forward_proxy/",
];
/// Files that hold nothing but annotations.
const ANNOTATIONS: [&str; 4] = ["validate/", "udpa/annotations/", "envoy/annotations/", "xds/annotations/"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    let shipped = sagene_sources::folder_of("envoy-types")?.join("proto");
    let own = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("proto");
    let envoy = shipped.join("data-plane-api");
    let mut files = Vec::new();
    for folder in ENVOY {
        collect(&envoy, &envoy.join(folder), &mut files)?;
    }
    files.retain(|file| !LEFT_OUT.iter().any(|part| file.contains(part)));
    collect(&own, &own, &mut files)?;
    let xds = shipped.join("xds");
    collect(&xds, &xds.join("xds/type/v3"), &mut files)?;
    files.sort();

    let folders = [
        "data-plane-api",
        "xds",
        "googleapis",
        "protoc-gen-validate",
        "opentelemetry-proto",
        "client_model",
        "cel-spec/proto",
    ];
    let includes: Vec<PathBuf> = folders.iter().map(|folder| shipped.join(folder)).chain([own]).collect();
    let (apart, together): (Vec<String>, Vec<String>) =
        files.into_iter().partition(|file| APART.iter().any(|prefix| file.starts_with(prefix)));
    let mut set = compile(&includes, &together)?;
    for file in apart {
        let known: BTreeSet<String> = set.file.iter().map(|file| file.name().to_owned()).collect();
        let more = compile(&includes, &[file])?;
        set.file.extend(more.file.into_iter().filter(|file| !known.contains(file.name())));
    }
    set.file.retain(|file| !is_annotation(file.name()));
    let tables = tables::of(&set.file)?;
    let folder = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(folder.join("envoy_tables.rs"), tables.source)?;
    fs::write(folder.join("envoy_names.txt"), tables.names)?;
    Ok(())
}

fn compile(includes: &[PathBuf], files: &[String]) -> Result<FileDescriptorSet, Box<dyn Error>> {
    let mut compiler = Compiler::new(includes)?;
    compiler.include_imports(true).include_source_info(false).open_files(files)?;
    Ok(FileDescriptorSet::decode(compiler.encode_file_descriptor_set().as_slice())?)
}

/// The `.proto` files below `folder`, relative to `root`.
fn collect(root: &Path, folder: &Path, files: &mut Vec<String>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path.strip_prefix(root)?.to_string_lossy().into_owned());
        }
    }
    Ok(())
}

fn is_annotation(name: &str) -> bool {
    ANNOTATIONS.iter().any(|prefix| name.starts_with(prefix))
}
