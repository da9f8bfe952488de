//! Updates one by one, for strategies that need them so: kept until their round is over, then dropped.

use federation::aggregate::{Sum, lanes as as_lanes, median, trimmed_mean};
use federation::{Plan, Strategy};
use sqlx::SqliteConnection;

use super::error::{Corrupt, Fault};
use super::groups::Offer;
use super::rounds::RoundKey;

/// Most bytes of vectors in memory at once; a larger round is aggregated slice by slice, which changes nothing.
const SLICE_BYTES_MAX: usize = 64 << 20;

/// Keeps an update's vector.
pub(super) async fn keep(
    tx: &mut SqliteConnection,
    key: RoundKey,
    Offer { candidate, payload }: &Offer,
) -> Result<(), Fault> {
    sqlx::query("INSERT INTO vectors (round_id, node_id, lanes) VALUES (?, ?, ?)")
        .bind(key.0)
        .bind(candidate.node.as_str())
        .bind(&payload[..])
        .execute(tx)
        .await?;
    Ok(())
}

/// The robust aggregate of a round's vectors; `None` for a strategy that keeps none.
pub(super) async fn aggregate(
    tx: &mut SqliteConnection,
    key: RoundKey,
    plan: &Plan,
    lanes: usize,
    updates: u32,
) -> Result<Option<Sum>, Fault> {
    if !plan.strategy.keeps_vectors() {
        return Ok(None);
    }
    let count = usize::try_from(updates).unwrap_or(usize::MAX).max(1);
    let width = (SLICE_BYTES_MAX / count).clamp(1, lanes);
    let mut whole: Option<Sum> = None;
    for from in (0..lanes).step_by(width) {
        let slice = slice(tx, key, from, width.min(lanes - from), updates).await?;
        let rows: Vec<&[i8]> = slice.iter().map(|row| as_lanes(row)).collect();
        let Some(part) = robust(plan.strategy, &rows) else { return Ok(None) };
        match &mut whole {
            None => whole = Some(part),
            Some(whole) => whole.append(&part),
        }
    }
    Ok(whole)
}

/// Forgets a round's vectors.
pub(super) async fn forget(tx: &mut SqliteConnection, key: RoundKey) -> Result<(), Fault> {
    sqlx::query("DELETE FROM vectors WHERE round_id = ?").bind(key.0).execute(tx).await?;
    Ok(())
}

fn robust(strategy: Strategy, rows: &[&[i8]]) -> Option<Sum> {
    match strategy {
        Strategy::Median { .. } => Some(median(rows)),
        Strategy::TrimmedMean { trim_permille, .. } => Some(trimmed_mean(rows, trim_permille)),
        Strategy::FedAvg { .. }
        | Strategy::FedAvgM { .. }
        | Strategy::FedAdam { .. }
        | Strategy::FedBuff { .. } => None,
    }
}

/// Some lanes of all vectors of a round.
async fn slice(
    tx: &mut SqliteConnection,
    key: RoundKey,
    from: usize,
    width: usize,
    updates: u32,
) -> Result<Vec<Vec<u8>>, Fault> {
    let place = |number: usize| i64::try_from(number).map_err(|_| sqlx::Error::RowNotFound);
    let rows: Vec<Vec<u8>> = sqlx::query_scalar(
        "SELECT substr(lanes, ?, ?) FROM vectors WHERE round_id = ? ORDER BY node_id",
    )
    .bind(place(from + 1)?)
    .bind(place(width)?)
    .bind(key.0)
    .fetch_all(tx)
    .await?;
    let whole = rows.iter().all(|row| row.len() == width);
    if !whole || u64::try_from(rows.len()).ok() != Some(updates.into()) || rows.is_empty() {
        let got = format!("{} of {updates}, each of {width} lanes from {from}", rows.len());
        return Err(Corrupt { column: "vectors.lanes", got }.into());
    }
    Ok(rows)
}
