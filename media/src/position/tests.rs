//! Tests of positions and the ledger.
