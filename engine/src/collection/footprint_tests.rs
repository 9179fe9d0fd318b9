//! The memory of large collections, as it is counted and as a walk finds it.

use super::*;

/// Names that take a byte, some bytes, and many.
fn name(n: usize) -> Vec<u8> {
    let mut name = n.to_string().into_bytes();
    name.resize(name.len() + [0, 10, 300][n % 3], b'x');
    name
}

#[test]
fn what_is_counted_of_large_collections_is_what_a_walk_finds() {
    let thresholds = &Thresholds::default();
    let mut rng = fastrand::Rng::with_seed(5);
    for most in [300, 5_000] {
        let (mut hash, mut set, mut list) = (HashValue::default(), SetValue::default(), ListValue::default());
        // They grow, are changed, and shrink to nothing.
        for step in 0..6 * most {
            let name = name(rng.usize(..most));
            let grows = rng.usize(..6 * most) > step;
            let end = if rng.bool() { End::Head } else { End::Tail };
            if grows {
                hash.set(&name, &vec![1; rng.usize(..600)], thresholds);
                set.insert(&name, thresholds);
                list.push(end, &name, thresholds);
            } else {
                hash.remove(&name, thresholds);
                set.remove(&name, thresholds);
                list.pop(end, thresholds);
            }
            let length = list.view().len();
            if length > 0 && rng.u8(..16) == 0 {
                list.set(rng.usize(..length), &name, thresholds);
                list.insert(rng.usize(..length), &name, thresholds);
            }
            if rng.usize(..most) == 0 {
                list.keep(length / 10..length - length / 10, thresholds);
                list.remove(end, 3, &name, thresholds);
            }
            if step % 97 == 0 {
                assert_eq!(hash.allocated_bytes(), hash.walked_bytes());
                assert_eq!(set.allocated_bytes(), set.walked_bytes());
                assert_eq!(list.allocated_bytes(), list.walked_bytes());
            }
        }
    }
}
