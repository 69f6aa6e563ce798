"""Whether a live platform behaves as its mapping declares, examined by calls and told line by line."""
