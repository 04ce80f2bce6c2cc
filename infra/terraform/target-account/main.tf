# infra/target-account.yaml for people who use Terraform: the same template, so that there is one to review.
# Once in an account with all of it; once more for each further role, with account_parts = "no". docs/deploying.md

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "stack_name" {
  type        = string
  default     = "daypass"
  description = "The name of the stack"
}

variable "hub_account" {
  type        = string
  description = "The account that Daypass runs in"
}

variable "broker_role" {
  type        = string
  default     = "daypass-prod-broker"
  description = "The name of the broker's role there (BrokerRole of infra/hub.yaml)"
}

variable "organization_id" {
  type        = string
  description = "The organization of both accounts"
}

variable "account_parts" {
  type        = string
  default     = "yes"
  description = "Whether this stack brings boundary, revoker and provider; once in every account"
}

variable "role_name" {
  type        = string
  default     = ""
  description = "The role to lend, without its path; role_name in the catalogue is daypass/ and this. Empty - no role"
}

variable "via" {
  type        = string
  default     = "role"
  description = "As via in the catalogue"
}

variable "external_id" {
  type        = string
  default     = ""
  description = "As external_id in the catalogue, which every role with via = \"role\" needs"
}

variable "max_session_duration" {
  type        = number
  default     = 3600
  description = "Seconds; a role with via = \"role\" is lent for an hour at a time whatever stands here"
}

variable "managed_policies" {
  type        = list(string)
  default     = []
  description = "ARNs of the managed policies that say what the role may do"
}

variable "permissions" {
  type        = string
  default     = ""
  description = "What it may do besides, as one policy document in JSON"
}

variable "new_principals" {
  type        = string
  default     = "bounded"
  description = "Whether roles and users that a lent role makes have to carry the same boundary. Free - see docs/deploying.md"
}

variable "issuer" {
  type        = string
  default     = ""
  description = "The catalogue's provider.issuer without https://. Empty - no OIDC provider"
}

resource "aws_cloudformation_stack" "this" {
  name          = var.stack_name
  template_body = file("${path.module}/../../target-account.yaml")
  capabilities  = ["CAPABILITY_NAMED_IAM"]
  parameters = {
    HubAccount         = var.hub_account
    BrokerRole         = var.broker_role
    OrganizationId     = var.organization_id
    AccountParts       = var.account_parts
    RoleName           = var.role_name
    Via                = var.via
    ExternalId         = var.external_id
    MaxSessionDuration = tostring(var.max_session_duration)
    ManagedPolicies    = join(",", var.managed_policies)
    Permissions        = var.permissions
    NewPrincipals      = var.new_principals
    Issuer             = var.issuer
  }
}

output "outputs" {
  value       = aws_cloudformation_stack.this.outputs
  description = "What the stack tells"
}
