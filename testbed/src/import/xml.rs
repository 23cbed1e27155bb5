//! `.xml` of CORE: 9.x with `services` or `configservices`, and the older names of the same things.

use super::Error;
use super::drawing::{Drawing, DrawnLink, DrawnNode};
use super::tree::{self, Element};

pub(super) fn read(text: &str) -> Result<Drawing, Error> {
    let root = tree::parse(text)?;
    if root.name != "scenario" {
        return Err(Error::Format {
            line: 1,
            what: format!("the root element is <{}>", root.name),
            accepted: "a <scenario> that CORE saved",
        });
    }
    let mut drawing = Drawing {
        name: root.attribute("name").map(str::to_owned),
        ..Drawing::default()
    };
    for network in root.below("networks", "network") {
        drawing.nodes.push(network_node(network));
    }
    for device in root.below("devices", "device") {
        drawing.nodes.push(device_node(device));
    }
    // Before links look for their nodes.
    super::within("nodes", drawing.nodes.len(), super::MOST_NODES)?;
    for element in root.below("links", "link") {
        link(element, &mut drawing);
    }
    for element in root.below("session_metadata", "configuration") {
        if let (Some(name), Some(value)) = (element.attribute("name"), element.attribute("value")) {
            drawing.metadata.push((name.to_owned(), value.to_owned()));
        }
    }
    regions(&mut drawing);
    for (blocks, what) in UNMAPPED {
        let count = root.children.iter().filter(|child| child.name == *blocks);
        let count: usize = count.map(|block| block.children.len()).sum();
        if count > 0 && drawing.metadata(super::ours::METADATA).is_none() {
            drawing
                .unmapped
                .push(format!("{count} {what} in <{blocks}>"));
        }
    }
    Ok(drawing)
}

fn network_node(element: &Element) -> DrawnNode {
    let kind = element
        .attribute("type")
        .unwrap_or_default()
        .to_ascii_lowercase();
    node(element, kind)
}

fn device_node(element: &Element) -> DrawnNode {
    let class = element.attribute("class").unwrap_or_default();
    let model = match element.attribute("type").unwrap_or_default() {
        "" if class.is_empty() => "pc",
        "" => class,
        model => model,
    };
    let mut node = node(element, model.to_ascii_lowercase());
    for block in ["services", "configservices"] {
        let services = element.below(block, "service");
        node.services
            .extend(services.filter_map(|service| service.attribute("name").map(str::to_owned)));
    }
    node
}

fn node(element: &Element, model: String) -> DrawnNode {
    let id = element.attribute("id").unwrap_or_default().to_owned();
    let position = element.child("position");
    let coordinate = |name| -> Option<f64> {
        let text = position?.attribute(name)?;
        text.parse().ok().filter(|number: &f64| number.is_finite())
    };
    DrawnNode {
        name: element.attribute("name").unwrap_or(&id).to_owned(),
        id,
        model,
        position: coordinate("x").zip(coordinate("y")),
        ..DrawnNode::default()
    }
}

fn link(element: &Element, drawing: &mut Drawing) {
    let ends = (
        element.any(&["node1", "node_one"]),
        element.any(&["node2", "node_two"]),
    );
    let (Some(one), Some(other)) = ends else {
        drawing
            .unmapped
            .push("a link that does not name two nodes".to_owned());
        return;
    };
    let mut link = DrawnLink {
        ends: (one.to_owned(), other.to_owned()),
        ..DrawnLink::default()
    };
    for (node, names) in [
        (one, ["iface1", "interface1", "interface_one"]),
        (other, ["iface2", "interface2", "interface_two"]),
    ] {
        let interface = names.iter().find_map(|name| element.child(name));
        let addresses = interface.into_iter().flat_map(|i| {
            let texts = [i.attribute("ip4"), i.attribute("ip6")];
            texts
                .into_iter()
                .flatten()
                .filter_map(|text| text.parse::<std::net::IpAddr>().ok())
        });
        if let Some(node) = drawing.nodes.iter_mut().find(|known| known.id == node) {
            node.addresses.extend(addresses);
        }
    }
    for (key, value) in element
        .child("options")
        .into_iter()
        .flat_map(|o| &o.attributes)
    {
        match key.as_str() {
            "unidirectional" if matches!(value.as_str(), "0" | "False" | "false" | "None" | "") => {}
            "unidirectional" => drawing.unmapped.push(format!(
                "link {one}-{other} has options for one direction only: links of an underlay are alike both ways"
            )),
            // Written where nothing was set.
            _ if value == "None" => {}
            "mburst" | "mer" | "key" | "session" => {}
            key => {
                if let Err(why) = link.set(key, value) {
                    drawing.unmapped.push(format!("link {one}-{other}: {why}"));
                }
            }
        }
    }
    drawing.links.push(link);
}

/// Labelled rectangles of the graphical interface.
fn regions(drawing: &mut Drawing) {
    let Some(shapes) = drawing.metadata("shapes") else {
        return;
    };
    let Ok(serde_json::Value::Array(shapes)) = serde_json::from_str(shapes) else {
        drawing.unmapped.push("shapes that are no list".to_owned());
        return;
    };
    for shape in shapes {
        // Each is an object, or an object as text.
        let shape = match shape.as_str().map(serde_json::from_str) {
            Some(Ok(inner)) => inner,
            _ => shape,
        };
        let label = shape["data"]["text"].as_str().or(shape["label"].as_str());
        let corners = &shape["iconcoords"];
        let corner = |at: usize| corners[at].as_f64();
        match (label, corner(0), corner(1), corner(2), corner(3)) {
            (Some(label), Some(a), Some(b), Some(c), Some(d)) if !label.trim().is_empty() => {
                let area = [a.min(c), b.min(d), a.max(c), b.max(d)];
                drawing.regions.push((label.trim().to_owned(), area));
            }
            _ => {}
        }
    }
}

/// Blocks that say nothing about an underlay.
const UNMAPPED: &[(&str, &str)] = &[
    ("emane_configurations", "EMANE configurations"),
    ("mobility_configurations", "mobility configurations"),
    ("service_configurations", "service configurations"),
    ("configservice_configurations", "service configurations"),
    ("session_hooks", "hooks"),
];
