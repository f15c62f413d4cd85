"""What goes wrong is told to the operator, by ways that are not QQ: rules, ledger, words, delivery."""
