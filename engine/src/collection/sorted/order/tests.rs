//! The tree beside a plain vector.

use super::*;

/// Checks what every node knows of those below it; returns the depth.
fn check(node: &Node) -> usize {
    match node {
        Node::Leaf(entries) => {
            assert!(entries.len() <= LEAF_MAX && entries.capacity() <= LEAF_MAX + LEAF_STEP);
            0
        }
        Node::Inner(children) => {
            assert!(!children.is_empty() && children.len() <= INNER_MAX);
            let depths: Vec<usize> = children.iter().map(|child| check(&child.node)).collect();
            assert!(depths.iter().all(|depth| *depth == depths[0]), "all leaves are equally deep");
            for child in children {
                let count = match &child.node {
                    Node::Leaf(entries) => entries.len(),
                    Node::Inner(children) => children.iter().map(|child| child.count as usize).sum(),
                };
                assert_eq!((child.count as usize, child.first), (count, first(&child.node)));
                assert!(count > 0);
            }
            depths[0] + 1
        }
    }
}

#[test]
fn it_is_a_sequence_whatever_is_inserted_and_removed() {
    let mut rng = fastrand::Rng::with_seed(5);
    for size in [3, 200, 6_000] {
        let (mut order, mut model) = (Order::new(), Vec::<Entry>::new());
        for step in 0..size * 4 {
            let grows = if step < size * 2 { 8 } else { 2 };
            if model.is_empty() || rng.usize(..10) < grows {
                let rank = match rng.u8(..4) {
                    0 => model.len(),
                    1 => 0,
                    _ => rng.usize(..=model.len()),
                };
                let entry = Entry::new(rng.f64(), step);
                order.insert(rank, entry);
                model.insert(rank, entry);
            } else {
                let rank = rng.usize(..model.len());
                assert_eq!(order.remove(rank), model.remove(rank));
            }
            if step % 97 == 0 && !model.is_empty() {
                let rank = rng.usize(..model.len());
                let entry = Entry::new(rng.f64(), step);
                order.set(rank, entry);
                model[rank] = entry;
            }
            if step % (size / 3 + 1) == 0 {
                check(&order.root);
                let from = rng.usize(..=model.len());
                assert!(order.iter_from(from).eq(model[from..].iter().copied()));
                assert!(order.iter_back(from).eq(model[..from].iter().rev().copied()));
            }
            assert_eq!(order.len(), model.len());
        }
        assert!(order.iter_from(0).eq(model.iter().copied()));
        assert!((0..model.len()).all(|rank| order.at(rank) == Some(model[rank])));
        assert_eq!(order.at(model.len()), None);
        let mut leaves = 0;
        while order.len() > 0 {
            order.free_leaf();
            leaves += 1;
        }
        assert!(leaves >= model.len() / LEAF_MAX);
    }
}

#[test]
fn what_comes_in_order_fills_the_leaves_and_a_search_finds_each() {
    let mut order = Order::new();
    for n in 0..100_000 {
        let rank = order.count_before(|entry| entry.score() < n as f64);
        assert_eq!(rank, n);
        order.insert(rank, Entry::new(n as f64, n));
    }
    assert!(check(&order.root) <= 3);
    for n in [0, 1, 127, 128, 129, 50_000, 99_999] {
        assert_eq!(order.count_before(|entry| entry.score() < n as f64), n);
        assert_eq!(order.count_before(|entry| entry.score() <= n as f64), n + 1);
    }
    // Nearly all is removed: what is left does not stay spread.
    while order.len() > 1_000 {
        order.remove(order.len() / 3);
    }
    assert!(check(&order.root) <= 2);
    order.close_gap(0);
    assert_eq!(order.at(0).map(Entry::place), Some(0));
    assert_eq!(order.at(1).map(Entry::place), Some(0), "the one behind the gap");
}
