//! Tests of care.
