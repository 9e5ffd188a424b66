"""AdaShare (Sun et al., NeurIPS 2020): the policy's mathematics, the execution engine and the method."""
