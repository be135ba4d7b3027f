use minbpe_core::split::*;
use std::ops::ControlFlow;
use std::time::Instant;
fn main() {
    for p in PATTERNS {
        let t = Instant::now();
        let mut best = f64::MAX;
        for _ in 0..5 {
            let t = Instant::now();
            Splitter::new(Some(p.pattern)).unwrap();
            best = best.min(t.elapsed().as_secs_f64());
        }
        println!("{} compile {:.2} ms first5 {:.2}", p.name, best * 1e3, t.elapsed().as_secs_f64() * 1e3);
    }
    for name in ["english", "mixed", "cjk"] {
        let mut b = std::fs::read(format!("/tmp/corp/{name}.txt")).unwrap();
        let n = match std::str::from_utf8(&b) {
            Ok(_) => b.len(),
            Err(e) => e.valid_up_to(),
        };
        b.truncate(n.min(20_000_000));
        let n = match std::str::from_utf8(&b) {
            Ok(_) => b.len(),
            Err(e) => e.valid_up_to(),
        };
        b.truncate(n);
        let text = String::from_utf8(b).unwrap();
        for p in PATTERNS {
            let s = Splitter::new(Some(p.pattern)).unwrap();
            let mut sc = Scratch::default();
            let mut best = f64::MAX;
            let mut k = 0;
            for _ in 0..7 {
                k = 0;
                let t = Instant::now();
                let _ = s.split(&text, &mut sc, |_, e| {
                    k += e.len();
                    ControlFlow::<()>::Continue(())
                });
                best = best.min(t.elapsed().as_secs_f64());
            }
            print!("{name} {} {:.0} MB/s {k} pieces;", p.name, text.len() as f64 / best / 1e6);
            for size in [100, 1000, 3000, 10000] {
                let mut docs = vec![];
                let mut from = 0;
                while from < text.len() {
                    let mut to = (from + size).min(text.len());
                    while !text.is_char_boundary(to) {
                        to += 1
                    }
                    docs.push(&text[from..to]);
                    from = to;
                }
                let mut best = f64::MAX;
                for _ in 0..3 {
                    let t = Instant::now();
                    for d in &docs {
                        let _ = s.split(d, &mut sc, |_, e| {
                            k += e.len();
                            ControlFlow::<()>::Continue(())
                        });
                    }
                    best = best.min(t.elapsed().as_secs_f64());
                }
                print!(" {size}:{:.0}", text.len() as f64 / best / 1e6);
            }
            println!();
        }
    }
}
