//! Keytide's benchmarks: see `benches/`.
