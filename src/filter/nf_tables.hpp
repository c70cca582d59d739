// The numbers of the nf_tables netlink interface that are understood here (uapi/linux/netfilter/nf_tables.h,
// which pure code may not include). Attributes whose number is missing here refuse the ruleset that has them.
#pragma once

#include <cstdint>

namespace skerry::filter::nft {

// nfnetlink messages: (subsystem << 8 | message), and what frames a batch.
inline constexpr uint16_t kBatchBegin = 16, kBatchEnd = 17;
inline constexpr uint8_t kSubsystem = 10;
enum Message : uint8_t {
  kNewTable = 0,
  kDelTable = 2,
  kNewChain = 3,
  kDelChain = 5,
  kNewRule = 6,
  kDelRule = 8,
  kNewSet = 9,
  kDelSet = 11,
  kNewSetElement = 12,
  kDelSetElement = 14,
  kNewObject = 18,
  kDelObject = 20,
  kNewFlowtable = 22,
};
inline constexpr uint16_t kFlagReplace = 0x100, kFlagExclusive = 0x200, kFlagCreate = 0x400,
                          kFlagAppend = 0x800;

enum Protocol : uint8_t {
  kUnspecified = 0,
  kInet = 1,
  kIpv4 = 2,
  kArp = 3,
  kNetdev = 5,
  kBridge = 7,
  kIpv6 = 10
};

enum List : uint16_t { kListElement = 1 };
enum HookAttribute : uint16_t { kHookNumber = 1, kHookPriority, kHookDevice, kHookDevices };
enum HookDevice : uint16_t { kDeviceName = 1 };
enum TableAttribute : uint16_t { kTableName = 1, kTableFlags, kTableUse, kTableHandle, kTableUserdata = 6 };
inline constexpr uint32_t kTableDormant = 1;
enum ChainAttribute : uint16_t {
  kChainTable = 1,
  kChainHandle,
  kChainName,
  kChainHook,
  kChainPolicy,
  kChainUse,
  kChainType,
  kChainCounters,
  kChainFlags = 10,
  kChainId,
  kChainUserdata,
};
inline constexpr uint32_t kChainBase = 1, kChainBinding = 4;
enum RuleAttribute : uint16_t {
  kRuleTable = 1,
  kRuleChain,
  kRuleHandle,
  kRuleExpressions,
  kRuleCompat,
  kRulePosition,
  kRuleUserdata,
  kRuleId = 9,
  kRulePositionId,
  kRuleChainId,
};
enum SetAttribute : uint16_t {
  kSetTable = 1,
  kSetName,
  kSetFlags,
  kSetKeyType,
  kSetKeyLength,
  kSetDataType,
  kSetDataLength,
  kSetPolicy,
  kSetDescription,
  kSetId,
  kSetTimeout,
  kSetGcInterval,
  kSetUserdata,
  kSetObjectType = 15,
  kSetHandle,
  kSetExpression,
  kSetExpressions,
};
enum SetFlag : uint32_t {
  kSetAnonymous = 1,
  kSetConstant = 2,
  kSetInterval = 4,
  kSetMap = 8,
  kSetHasTimeout = 0x10,
  kSetEval = 0x20,
  kSetObject = 0x40,
  kSetConcat = 0x80,
  kSetExpr = 0x100,
};
enum SetDescription : uint16_t { kDescriptionSize = 1, kDescriptionConcat };
enum SetField : uint16_t { kFieldLength = 1 };
enum ElementAttribute : uint16_t {
  kElementKey = 1,
  kElementData,
  kElementFlags,
  kElementTimeout,
  kElementExpiration,
  kElementUserdata,
  kElementExpression,
  kElementObject = 9,
  kElementKeyEnd,
  kElementExpressions,
};
inline constexpr uint32_t kElementIntervalEnd = 1, kElementCatchall = 2;
enum ElementListAttribute : uint16_t { kElementsTable = 1, kElementsSet, kElementsElements, kElementsSetId };
enum ObjectAttribute : uint16_t {
  kObjectTable = 1,
  kObjectName,
  kObjectType,
  kObjectData,
  kObjectUse,
  kObjectHandle,
  kObjectUserdata = 8
};
enum ObjectType : uint32_t { kObjectCounter = 1, kObjectQuota = 2, kObjectHelper = 3, kObjectLimit = 4 };
enum HelperAttribute : uint16_t { kHelperName = 1, kHelperFamily, kHelperProtocol };

enum DataAttribute : uint16_t { kDataValue = 1, kDataVerdict };
inline constexpr uint32_t kDataTypeVerdict = 0xffffff00;
enum VerdictAttribute : uint16_t { kVerdictCode = 1, kVerdictChain, kVerdictChainId };

enum ExpressionAttribute : uint16_t { kExpressionName = 1, kExpressionData };
enum Immediate : uint16_t { kImmediateTo = 1, kImmediateData };
enum Cmp : uint16_t { kCmpFrom = 1, kCmpOperation, kCmpData };
enum Range : uint16_t { kRangeFrom = 1, kRangeOperation, kRangeLow, kRangeHigh };
enum Payload : uint16_t {
  kPayloadTo = 1,
  kPayloadBase,
  kPayloadOffset,
  kPayloadLength,
  kPayloadFrom,
  kPayloadSumType,
  kPayloadSumOffset,
  kPayloadSumFlags,
};
inline constexpr uint32_t kSumNone = 0, kSumInternet = 1, kSumSctp = 2, kSumTransport = 1;
enum Numgen : uint16_t { kNumgenTo = 1, kNumgenModulus, kNumgenType, kNumgenOffset };
enum Hash : uint16_t {
  kHashFrom = 1,
  kHashTo,
  kHashLength,
  kHashModulus,
  kHashSeed,
  kHashOffset,
  kHashType,
};
enum Exthdr : uint16_t {
  kExthdrTo = 1,
  kExthdrType,
  kExthdrOffset,
  kExthdrLength,
  kExthdrFlags,
  kExthdrOperation,
  kExthdrFrom
};
enum Meta : uint16_t { kMetaTo = 1, kMetaKey, kMetaFrom };
enum Socket : uint16_t { kSocketKey = 1, kSocketTo, kSocketLevel };
enum Ct : uint16_t { kCtTo = 1, kCtKey, kCtDirection, kCtFrom };
enum Bitwise : uint16_t {
  kBitwiseFrom = 1,
  kBitwiseTo,
  kBitwiseLength,
  kBitwiseMask,
  kBitwiseXor,
  kBitwiseOperation,
  kBitwiseData
};
enum Byteorder : uint16_t {
  kByteorderFrom = 1,
  kByteorderTo,
  kByteorderOperation,
  kByteorderLength,
  kByteorderSize
};
enum Lookup : uint16_t { kLookupSet = 1, kLookupFrom, kLookupTo, kLookupSetId, kLookupFlags };
enum Counter : uint16_t { kCounterBytes = 1, kCounterPackets };
enum Limit : uint16_t { kLimitRate = 1, kLimitUnit, kLimitBurst, kLimitType, kLimitFlags };
enum Quota : uint16_t { kQuotaBytes = 1, kQuotaFlags, kQuotaConsumed = 4 };
enum Connlimit : uint16_t { kConnlimitCount = 1, kConnlimitFlags };
enum Log : uint16_t { kLogGroup = 1, kLogPrefix, kLogSnaplen, kLogThreshold, kLogLevel, kLogFlags };
inline constexpr uint32_t kLogKnownFlags = 0x2f;  // NF_LOG_MASK
enum Reject : uint16_t { kRejectType = 1, kRejectCode };
enum Nat : uint16_t {
  kNatType = 1,
  kNatFamily,
  kNatAddressLow,
  kNatAddressHigh,
  kNatPortLow,
  kNatPortHigh,
  kNatFlags,
};
enum Masquerade : uint16_t { kMasqueradeFlags = 1, kMasqueradePortLow, kMasqueradePortHigh };
enum Redirect : uint16_t { kRedirectPortLow = 1, kRedirectPortHigh, kRedirectFlags };
// NF_NAT_RANGE_*: that addresses or ports are given goes without saying.
inline constexpr uint32_t kNatGiven = 0x3, kNatRandom = 0x14, kNatPersistent = 0x8, kNatPrefix = 0x40;
enum Dynset : uint16_t {
  kDynsetName = 1,
  kDynsetId,
  kDynsetOperation,
  kDynsetKey,
  kDynsetData,
  kDynsetTimeout,
  kDynsetExpression,
  kDynsetFlags = 9,
  kDynsetExpressions,
};
enum Objref : uint16_t { kObjrefType = 1, kObjrefName, kObjrefFrom, kObjrefSetName, kObjrefSetId };

}  // namespace skerry::filter::nft
