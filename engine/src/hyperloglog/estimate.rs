//! The estimate, by the method of Otmar Ertl that Redis uses ("New cardinality estimation algorithms for HyperLogLog
//! sketches", 2017): the same number for the same registers.

use super::{RANK_BITS, REGISTERS};

/// 1 / (2 ln 2).
const ALPHA: f64 = 0.721_347_520_444_481_7;

/// The estimated number of elements.
pub fn count(registers: &[u8; REGISTERS]) -> u64 {
    let mut of_rank = [0u32; 64];
    // No register has more than 6 bits.
    registers.iter().for_each(|rank| of_rank[usize::from(rank & 63)] += 1);
    let all = REGISTERS as f64;
    let most = RANK_BITS as usize + 1;
    let mut sum = all * tau((all - f64::from(of_rank[most])) / all);
    for rank in (1..most).rev() {
        sum += f64::from(of_rank[rank]);
        sum *= 0.5;
    }
    sum += all * sigma(f64::from(of_rank[0]) / all);
    (ALPHA * all * all / sum).round() as u64
}

/// The sum for registers of rank 0.
fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut factor, mut sum) = (1.0, x);
    loop {
        x *= x;
        let before = sum;
        sum += x * factor;
        factor += factor;
        if before == sum {
            return sum;
        }
    }
}

/// The sum for registers of the greatest rank.
fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut factor, mut sum) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = sum;
        factor *= 0.5;
        sum -= (1.0 - x).powi(2) * factor;
        if before == sum {
            return sum / 3.0;
        }
    }
}
