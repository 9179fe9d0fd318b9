//! The section of INFO on memory: Redis's fields with their meaning, then those of this server.

use super::Text;
use crate::command::HistoryContext;
use crate::process::{Usage, total_memory_bytes};
use crate::server::{MemoryUse, Stat};

pub(super) fn memory(context: &HistoryContext<'_>, text: &mut Text) {
    let server = context.server;
    let (usage, memory) = (Usage::now(), server.memory_use());
    let accounts = &server.accounts;
    text.bytes("used_memory", memory.used());
    text.bytes("used_memory_rss", usage.resident_bytes);
    let peak = server.note_memory_peak(memory.used());
    text.bytes("used_memory_peak", peak);
    text.row("used_memory_peak_perc", percent(memory.used(), peak));
    text.row("used_memory_overhead", memory.overhead());
    text.row("used_memory_startup", 0);
    text.row("used_memory_dataset", memory.used() - memory.overhead());
    text.row("used_memory_dataset_perc", percent(memory.used() - memory.overhead(), memory.used()));
    text.bytes("total_system_memory", total_memory_bytes());
    text.bytes("used_memory_lua", accounts.scripts.used());
    text.bytes("used_memory_scripts", accounts.scripts.used());
    text.row("number_of_cached_scripts", server.scripts.figures().0);
    text.row("number_of_functions", 0);
    text.row("number_of_libraries", 0);
    text.bytes("maxmemory", server.pool.limit());
    text.row("maxmemory_policy", server.pool.policy().name());
    // All that the process holds, beside all that is counted.
    text.row("mem_fragmentation_ratio", ratio(usage.resident_bytes, memory));
    let counted = memory.used() + memory.apart();
    text.row("mem_fragmentation_bytes", usage.resident_bytes as i64 - counted as i64);
    text.row("mem_not_counted_for_evict", memory.apart());
    text.row("mem_replication_backlog", 0);
    text.row("mem_total_replication_buffers", 0);
    text.row("mem_clients_slaves", 0);
    text.row("mem_clients_normal", memory.buffers);
    text.row("mem_cluster_links", 0);
    text.row("mem_aof_buffer", 0);
    text.row("mem_allocator", "mimalloc");
    text.row("active_defrag_running", 0);
    text.row("lazyfree_pending_objects", server.total(Stat::GarbageObjects));
    text.row("lazyfreed_objects", 0);
    text.bytes("used_memory_rss_peak", usage.resident_bytes_peak);
    text.row("ring_capacity_bytes_total", memory.rings);
    text.row("absent_streams_bytes", memory.absent);
    text.row("eviction_bytes", memory.eviction);
    text.row("keys_bytes", memory.keys);
    for (name, stat) in [
        ("strings_bytes", Stat::StringBytes),
        ("hashes_bytes", Stat::HashBytes),
        ("lists_bytes", Stat::ListBytes),
        ("sets_bytes", Stat::SetBytes),
        ("sorted_sets_bytes", Stat::SortedSetBytes),
        ("redis_streams_bytes", Stat::RedisStreamBytes),
    ] {
        text.row(name, server.total(stat));
    }
    text.row("table_bytes", memory.table);
    let watch = &server.memory;
    let (used, limit) = watch.usage();
    text.row("memory_used_bytes", used);
    text.row("memory_limit_bytes", limit);
    text.row("memory_refusal_bytes", crate::memory::watch::bound(limit));
    text.row("memory_is_short", u8::from(watch.is_short()));
    text.row("memory_refused_total", watch.refused());
    let accounts = server.accounts.all();
    for account in accounts {
        text.row(&account.name().replace('-', "_"), account.used());
    }
    text.row("over_limit_refused_total", accounts.iter().map(|account| account.refused()).sum::<u64>());
}

fn ratio(resident_bytes: u64, memory: MemoryUse) -> String {
    format!("{:.2}", resident_bytes as f64 / (memory.used() + memory.apart()).max(1) as f64)
}

fn percent(part: u64, whole: u64) -> String {
    format!("{:.2}%", part as f64 * 100.0 / whole.max(1) as f64)
}
