//! Prints `regexes.txt`: the 1,000 regexes that the matcher is measured with. A third is anchored, a third unanchored
//! with classes, a third has `.*`, in turn. Names of things, hexadecimal endings and digits go round with steps that
//! have no divisor in common, so that the lines differ; every ninth line is about the very keys that are written, and
//! of those some match.

const THINGS: [&str; 16] = [
    "user", "order", "session", "cart", "device", "invoice", "tenant", "job", "lock", "rate", "feed", "token", "page",
    "sensor", "queue", "build",
];
const STATES: [&str; 8] = ["paid", "open", "expired", "failed", "new", "draft", "sent", "gone"];

fn anchored(n: usize, thing: &str, state: &str) -> String {
    match n % 6 {
        0 => format!("^{thing}:[0-9]+:{:03x}$", n * 37 % 4096),
        1 => format!("^{thing}:[0-9]{{4,12}}:{state}$"),
        2 => format!("^(?:{thing}|{state}):[a-f0-9]{{8}}-{:02x}", n * 13 % 256),
        3 => format!("^{thing}-[a-z]+-{:04}$", n * 61 % 10_000),
        4 => format!("^{thing}:[^:]+:{state}:[0-9]{{1,{}}}$", n % 7 + 2),
        _ => format!("^{thing}:\\d+:{}", n * 7 % 1000),
    }
}

fn with_classes(n: usize, thing: &str, state: &str) -> String {
    match n % 6 {
        0 => format!("[0-9]{{2,6}}{:02}.*{:03x}", n * 7 % 100, n * 41 % 4096),
        1 => format!("[a-f]+[0-9]{{2}}{state}"),
        2 => format!("{thing}[:-][0-9]{{3,}}[a-f]"),
        3 => format!("[0-9]{{3,5}}{:03}[a-z]", n * 17 % 1000),
        4 => format!("[:/]{state}[0-9]*[aeiou]{:x}", n * 29 % 4096),
        _ => format!("[xyz]{{2}}[0-9]+:{:02x}", n * 11 % 256),
    }
}

fn with_runs(n: usize, thing: &str, state: &str) -> String {
    match n % 6 {
        0 => format!("^{thing}:.*:{:03x}$", n * 43 % 4096),
        1 => format!("{thing}.*{state}.*{:02}", n * 3 % 100),
        2 => format!(".*:{state}:.*{:03}$", n * 19 % 1000),
        3 => format!("(?:{thing}|{state}).*[0-9]{{2}}.*z{:x}", n * 23 % 4096),
        4 => format!("{:03}.*{thing}", n * 31 % 1000),
        _ => format!("(?i){state}.*{:03x}", n * 47 % 4096),
    }
}

/// About the keys `key:000000012345` themselves.
fn near(n: usize) -> String {
    match n % 3 {
        0 => format!("^key:[0-9]+{:04}$", n * 59 % 10_000),
        1 => format!("[0-9]{{2,6}}{:02}[0-9]*{:03}$", n * 7 % 100, n * 53 % 1000),
        _ => format!("key:0.*{:02}.*{:03}", n * 67 % 100, n * 71 % 1000),
    }
}

fn main() {
    println!("# Printed by `cargo run -p keytide-bench --example regexes`; that file says how it is made.");
    for n in 0..1000 {
        let (thing, state) = (THINGS[n * 7 % 16], STATES[n * 5 / 3 % 8]);
        let regex = match n % 3 {
            _ if n % 9 == 8 || n % 27 == 9 || n % 27 == 19 => near(n),
            0 => anchored(n / 3, thing, state),
            1 => with_classes(n / 3, thing, state),
            _ => with_runs(n / 3, thing, state),
        };
        println!("{regex}");
    }
}
