//! Icons, drawn here: the graphical interface of CORE reads PNG, people prefer SVG. Same bytes on every machine.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::File;

pub(super) fn files() -> Vec<File> {
    let files = ICONS.iter().flat_map(|icon| {
        let file = |extension: &str, contents| File {
            path: format!("icons/{}.{extension}", icon.name),
            contents,
            executable: false,
        };
        [file("png", png(icon)), file("svg", svg(icon).into_bytes())]
    });
    files.collect()
}

/// A coloured shape with a letter-like mark.
struct Icon {
    name: &'static str,
    colour: [u8; 3],
    round: bool,
    /// Rows of a mark of 8 by 8, the highest bit left.
    mark: [u8; 8],
}

const ICONS: &[Icon] = &[
    Icon {
        name: "router",
        colour: [70, 110, 170],
        round: true,
        mark: [0x18, 0x3c, 0x7e, 0x18, 0x18, 0x7e, 0x3c, 0x18],
    },
    Icon {
        name: "switch",
        colour: [90, 130, 140],
        round: false,
        mark: [0x00, 0x24, 0x7e, 0x24, 0x24, 0x7e, 0x24, 0x00],
    },
    Icon {
        name: "host",
        colour: [120, 120, 120],
        round: false,
        mark: [0x7e, 0x42, 0x42, 0x42, 0x7e, 0x18, 0x3c, 0x00],
    },
    Icon {
        name: "control",
        colour: [110, 80, 150],
        round: false,
        mark: [0x00, 0x3c, 0x66, 0x60, 0x60, 0x66, 0x3c, 0x00],
    },
    Icon {
        name: "server",
        colour: [170, 80, 60],
        round: false,
        mark: [0x7e, 0x42, 0x7e, 0x00, 0x7e, 0x42, 0x7e, 0x00],
    },
    Icon {
        name: "root",
        colour: [40, 120, 70],
        round: true,
        mark: [0x00, 0x7c, 0x66, 0x66, 0x7c, 0x6c, 0x66, 0x00],
    },
    Icon {
        name: "relay",
        colour: [70, 150, 90],
        round: true,
        mark: [0x18, 0x18, 0x18, 0x18, 0x3c, 0x5a, 0x99, 0x81],
    },
    Icon {
        name: "edge",
        colour: [130, 170, 60],
        round: true,
        mark: [0x00, 0x7e, 0x60, 0x7c, 0x60, 0x60, 0x7e, 0x00],
    },
    Icon {
        name: "client",
        colour: [200, 150, 40],
        round: false,
        mark: [0x20, 0x30, 0x38, 0x3c, 0x3c, 0x38, 0x30, 0x20],
    },
];

/// Pixels of an icon's side, as CORE's own.
const SIDE: usize = 40;

fn pixel(icon: &Icon, x: usize, y: usize) -> [u8; 4] {
    let (dx, dy) = (
        2 * x as i32 + 1 - SIDE as i32,
        2 * y as i32 + 1 - SIDE as i32,
    );
    let side = SIDE as i32 - 2;
    let inside = match icon.round {
        true => dx * dx + dy * dy <= side * side,
        false => dx.abs() <= side && dy.abs() <= side,
    };
    if !inside {
        return [0; 4];
    }
    let marked = |at: usize| at.checked_sub(8).map(|at| at / 3).filter(|at| *at < 8);
    let is_mark = match (marked(x), marked(y)) {
        (Some(column), Some(row)) => icon.mark[row] & (0x80 >> column) != 0,
        _ => false,
    };
    let [red, green, blue] = if is_mark { [255; 3] } else { icon.colour };
    [red, green, blue, 255]
}

fn png(icon: &Icon) -> Vec<u8> {
    let mut rows = Vec::with_capacity(SIDE * (4 * SIDE + 1));
    for y in 0..SIDE {
        // No filter.
        rows.push(0);
        rows.extend((0..SIDE).flat_map(|x| pixel(icon, x, y)));
    }
    let side = (SIDE as u32).to_be_bytes();
    let mut header = [side, side].concat();
    // Eight bits, red green blue alpha, and the only methods there are.
    header.extend([8, 6, 0, 0, 0]);
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(6));
    // A Vec takes everything.
    let written = encoder.write_all(&rows).and_then(|()| encoder.finish());
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    chunk(&mut out, b"IHDR", &header);
    chunk(&mut out, b"IDAT", &written.unwrap_or_default());
    chunk(&mut out, b"IEND", &[]);
    out
}

fn chunk(out: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    let mut checksum = flate2::Crc::new();
    checksum.update(kind);
    checksum.update(data);
    out.extend((data.len() as u32).to_be_bytes());
    out.extend(kind);
    out.extend(data);
    out.extend(checksum.sum().to_be_bytes());
}

fn svg(icon: &Icon) -> String {
    let [red, green, blue] = icon.colour;
    let shape = match icon.round {
        true => "<circle cx=\"20\" cy=\"20\" r=\"19\"",
        false => "<rect x=\"1\" y=\"1\" width=\"38\" height=\"38\"",
    };
    let mut path = String::new();
    for (row, bits) in icon.mark.iter().enumerate() {
        for column in (0..8).filter(|column| bits & (0x80 >> column) != 0) {
            path += &format!("M{} {}h3v3h-3z", 8 + 3 * column, 8 + 3 * row);
        }
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"40\" height=\"40\" viewBox=\"0 0 40 40\">{shape} fill=\"#{red:02x}{green:02x}{blue:02x}\"/><path d=\"{path}\" fill=\"#fff\"/></svg>\n"
    )
}
