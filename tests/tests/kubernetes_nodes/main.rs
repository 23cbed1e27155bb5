//! Real pods on two nodes with real kubelets: the images, the operator's chart, and video through the viewers' Service
//! while things are replaced.

mod campus;
mod members;
