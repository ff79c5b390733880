"""What the runs say: tables, hypotheses, the paper's numbers and claims."""
