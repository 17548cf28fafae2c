//! Makes Rust types and their ProtoJSON form from `proto/`; needs no `protoc`.

use std::error::Error;

use prost_build::Config;

const PACKAGE: &str = ".helpdesk.twitter.v1";
const INCLUDE: &str = "proto";
const FILES: [&str; 3] = [
    "proto/helpdesk/twitter/v1/commands.proto",
    "proto/helpdesk/twitter/v1/common.proto",
    "proto/helpdesk/twitter/v1/events.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    for file in FILES {
        println!("cargo::rerun-if-changed={file}");
    }
    let descriptors = protox::compile(FILES, [INCLUDE])?;

    let mut json = pbjson_build::Builder::new();
    for file in &descriptors.file {
        json.register_file_descriptor(file.clone());
    }
    // Maps are sorted, so that the same event always has the same bytes.
    json.btree_map([PACKAGE])
        .preserve_proto_field_names()
        .emit_fields()
        .build(&[PACKAGE])?;

    Config::new()
        .btree_map([PACKAGE])
        .compile_fds(descriptors)?;
    Ok(())
}
