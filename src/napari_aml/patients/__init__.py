"""From cells to the patient: heads that read all cells of a smear."""
