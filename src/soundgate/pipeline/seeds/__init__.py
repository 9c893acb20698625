"""The spread of gates over seeds of training: measured once, kept in ``seeds/``, reckoned with in verdicts."""
