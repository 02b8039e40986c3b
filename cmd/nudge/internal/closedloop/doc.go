// Package closedloop plays a simulated shop against a pipeline: shoppers see what it decides, respond, and it learns from that.
//
// Policies that are compared on one seed meet the same shoppers with the same random numbers, so their differences are paired.
//
// Two policies stand beside pipelines: Oracle knows every shopper's taste, Informed the world's laws and each shopper's events.
package closedloop
