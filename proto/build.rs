//! Compiles the protocol with protox, so that no system `protoc` is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let descriptors = protox::compile(["proto/banyan/v1/banyan.proto"], ["proto"])?;
    tonic_prost_build::configure()
        .bytes(".")
        // Configuration also comes as a JSON file, and load is shown as JSON by every member: the types
        // are one and the same.
        .message_attribute(".banyan.v1.Load", SERDE)
        .message_attribute(".banyan.v1.Config", SERDE)
        .message_attribute(".banyan.v1.Peer", SERDE)
        .message_attribute(".banyan.v1.Rendition", SERDE)
        .message_attribute(".banyan.v1.Content", SERDE)
        .message_attribute(".banyan.v1.ContentFile", SERDE)
        .message_attribute(".banyan.v1.ContentTest", SERDE)
        .enum_attribute(".banyan.v1.Content.source", SERDE_UNION)
        .compile_fds(descriptors)?;
    println!("cargo:rerun-if-changed=proto");
    Ok(())
}

const SERDE: &str =
    "#[derive(serde::Serialize, serde::Deserialize)] #[serde(default, deny_unknown_fields)]";

const SERDE_UNION: &str =
    "#[derive(serde::Serialize, serde::Deserialize)] #[serde(rename_all = \"snake_case\")]";
