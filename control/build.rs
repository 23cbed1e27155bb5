//! Makes sure the folder that the page is embedded from exists; empty means "page not built".

use std::path::Path;

fn main() -> std::io::Result<()> {
    let dist = Path::new("../web/dist");
    std::fs::create_dir_all(dist)?;
    println!("cargo:rerun-if-changed=../web/dist");
    println!("cargo:rerun-if-changed=build.rs");
    Ok(())
}
