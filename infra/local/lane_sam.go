package main

// samExcluded says what the lane with the SAM CLI leaves out.
var samExcluded = []excluded{}
